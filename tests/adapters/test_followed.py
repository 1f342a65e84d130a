"""Whatever files and the scheduler say, in whatever order: each member starts once at most, and ends once."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.wlm.followed import FollowedJob, Member, Told
from smartsim.adapters.wlm.scheduler import JobFacts, Phase
from smartsim.domain.lifecycle import Ended, JobState, Queued, advance
from smartsim.domain.steps import Step

NAMES = ("a", "b")
FACTS = st.builds(
    JobFacts,
    st.sampled_from(Phase),
    st.none() | st.integers(-15, 255),
    st.sampled_from(["", "time limit"]),
    st.sampled_from(["", "root"]),
)
NEWS = st.one_of(
    st.tuples(st.just("starts"), st.sampled_from(NAMES)),
    st.tuples(st.just("ends"), st.sampled_from(NAMES), st.sampled_from(["0", "7", "137", "143 TERM", ""])),
    st.tuples(st.just("stops"), st.sampled_from(NAMES)),
    st.tuples(st.just("answer"), st.none() | FACTS),
    st.tuples(st.just("books"), st.none() | FACTS),
    st.tuples(st.just("time"), st.floats(0.0, 100.0)),
)


class Follower:
    """Follows a job, and lets its members live by what is told of them."""

    def __init__(self) -> None:
        self.files = InMemoryFileSystem(["/d"])
        self.now = 1000.0
        self.job = FollowedJob("1", "1", "/d", len(NAMES), self.now, self.files)
        self.states = {name: advance(JobState(self.now), Queued(self.now, "1"))[0] for name in NAMES}
        self.ends: list[str] = []
        self.left: set[str] = set()
        for name in NAMES:
            self.job.members[name] = Member(Step(name, ("p",), (), {}, "/", "/o", "/e"), name, lambda *_: None)

    def take(self, told: Sequence[Told]) -> None:
        for member, event in told:
            assert 1000.0 <= event.at <= self.now
            self.states[member.name], _ = advance(self.states[member.name], event)
            if isinstance(event, Ended):
                self.ends.append(member.name)

    def hear(self, news: tuple[object, ...]) -> None:
        match news:
            case ("starts", str(name)) if name not in self.left:
                self.files.write(f"/d/{name}.started", f"{round(self.now * 1e6)} 7\n".encode())
            case ("ends", str(name), str(status)) if name not in self.left:
                # A file that is not complete yet becomes complete, and a complete one does not change.
                self.left |= {name} if status else set()
                self.files.write(f"/d/{name}.exit", f"{round(self.now * 1e6)} {status}\n".encode() if status else b"17")
            case ("stops", str(name)) if name in self.job.members:
                self.job.members[name].stops = True
            case ("answer", facts):
                assert facts is None or isinstance(facts, JobFacts)
                self.take(list(self.job.take_facts(facts, self.now, self.now)))
            case ("books", facts) if self.job.wants_books():
                assert facts is None or isinstance(facts, JobFacts)
                self.job.take_books(facts, self.now)
            case ("time", float(seconds)):
                self.now += seconds
        self.take(list(self.job.take_files(self.files.walk("/d"), self.now, self.now)))
        self.take(list(self.job.conclude("slurm", self.now, self.now)))


@given(st.lists(NEWS, max_size=30))
def test_each_member_ends_once_and_nothing_is_told_that_cannot_be(story: list[tuple[object, ...]]) -> None:
    follower = Follower()
    for news in story:
        follower.hear(news)
    # In the end the scheduler knows nothing of the job any more: nobody waits for ever.
    for _ in range(20):
        for news in (("answer", None), ("books", None), ("time", 10.0)):
            follower.hear(news)
    assert sorted(follower.ends) == sorted(NAMES)


@given(st.lists(NEWS, max_size=30), st.sampled_from(["0", "7", "137"]))
def test_an_exit_code_of_its_own_is_never_overruled(story: list[tuple[object, ...]], status: str) -> None:
    follower = Follower()
    follower.hear(("starts", "a"))
    follower.files.write("/d/a.exit", f"{round(follower.now * 1e6)} {status}\n".encode())
    follower.left.add("a")
    for news in [*story, ("answer", None), ("time", 100.0), ("answer", None), ("time", 100.0), ("answer", None)]:
        follower.hear(news)
    assert follower.states["a"].returncode == {"0": 0, "7": 7, "137": -9}[status]


@given(st.lists(st.tuples(st.just("time"), st.floats(0.0, 1e6)), max_size=10))
def test_nothing_ends_as_long_as_nobody_says_anything(story: list[tuple[object, ...]]) -> None:
    follower = Follower()
    for news in story:
        follower.hear(news)
    assert follower.ends == []

"""The script of a batch job: it starts members side by side, and keeps what becomes of each in files.

In the directory of the job, `member` being the step's name, and every file complete once it ends in a line end::

    <member>.started    when (microseconds since the epoch), and the process group that it leads
    <member>.exit       when, its exit code (128 and the number for a signal), and the signals that the job was sent
    <member>.stop       written from outside: in how many microseconds it gets a SIGTERM, and in how many a SIGKILL

The script needs bash 4.1, and nothing of the driver.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch, Step

STARTED, EXIT, STOP = ".started", ".exit", ".stop"
_MICRO = 1_000_000
_OWN_VARIABLE = re.compile(r"(SS|SR_)[A-Z][A-Za-z0-9_]*")
"""What the shell itself sets, which is quicker than `env`: other names may mean something to it, such as `LC_ALL`."""
_START, _END = re.compile(rb"(\d+) (\d+)\s*\n"), re.compile(rb"(\d+) (\d+)((?: [A-Z0-9]+)*)\s*\n")
_SHELL_SIGNAL = 128  # what a shell adds to the number of the signal that ended a program


@dataclass(frozen=True)
class Elements:
    """How the script knows which element of a job array it runs as.

    Args:
        variable: the variable that the scheduler sets; empty in a job of its own.
        first: what it says in the first element.
    """

    variable: str = ""
    first: int = 0


@dataclass(frozen=True)
class MemberStart:
    """What the script keeps of a member's start.

    Args:
        at: when, by the clock of its node, in seconds since the epoch.
        group: the process group that it leads there.
    """

    at: float
    group: int


@dataclass(frozen=True)
class MemberExit:
    """What the script keeps of a member's end.

    Args:
        at: when, by the clock of its node, in seconds since the epoch.
        returncode: its exit code; negative for the signal that ended it; None if that is not to be believed.
        signals: what the job was sent before, by the scheduler or on its behalf.
    """

    at: float
    returncode: int | None
    signals: tuple[str, ...] = ()


def render(batch: Batch, header: Sequence[str], members: Sequence[Step], elements: Elements = Elements()) -> str:
    """Return the text of a script.

    Its exit code is 0 if all members end with 0, and otherwise that of the first of them that does not.

    Args:
        batch: the job.
        header: the first lines, those for the scheduler among them.
        members: what runs in it.
        elements: how an element of an array knows which member it runs.

    Raises:
        LauncherError: its shebang starts another shell.
    """
    if "bash" not in batch.shebang:
        raise LauncherError(
            f"The script of job {batch.name} cannot run under {batch.shebang!r}: it needs bash, such as #!/bin/bash"
        )
    where = [
        f"_directory={shlex.quote(batch.directory)}",
        f"_element=${{{elements.variable}:-}}" if elements.variable else "_element=",
        "_traps=$(trap -p)$'\\n'" if batch.preamble else "_traps=",
    ]
    turns = (_TURNS,) if not batch.array and all(map(_has_cpus_to_itself, members)) else ()
    jump = (_JUMP % elements.first,) if elements.variable else ()
    lines = (_member(elements.first + index, step) for index, step in enumerate(members))
    body = [*where, _FUNCTIONS, *turns, *jump, *lines]
    return "\n".join([*header, *batch.preamble, "", *body, "", "wait_for_members", ""])


def parse_started(content: bytes) -> MemberStart | None:
    """Return what a start file says; None when it is not complete yet, or not the script's."""
    found = _START.fullmatch(content)
    return None if found is None else MemberStart(int(found[1]) / _MICRO, int(found[2]))


def parse_exit(content: bytes) -> MemberExit | None:
    """Return what an exit file says; None when it is not complete yet, or not the script's."""
    found = _END.fullmatch(content)
    if found is None:
        return None
    return MemberExit(int(found[1]) / _MICRO, returncode_of(int(found[2])), tuple(found[3].decode().split()))


def returncode_of(status: int) -> int:
    """Return the exit code of a program by what a shell makes of it, in which signals look like codes above 128.

    Example:
        >>> returncode_of(7), returncode_of(137), returncode_of(255)
        (7, -9, 255)
    """
    number = status - _SHELL_SIGNAL
    return -number if number in set(signal.Signals) else status


def stop_content(term: float, kill: float) -> bytes:
    """Return what a stop file says.

    Args:
        term: seconds before the SIGTERM.
        kill: seconds before the SIGKILL.
    """
    return f"{round(term * _MICRO)} {round(kill * _MICRO)}\n".encode()


def file_of(directory: str, member: str, ending: str) -> str:
    """Return the path of one of a member's files."""
    return posixpath.join(directory, member + ending)


def _has_cpus_to_itself(step: Step) -> bool:
    """Return whether `srun` starts it once there are CPUs that no other step has."""
    return "--exact" in step.launch and not any(word.startswith("--overl") for word in step.launch)


def _member(index: int, step: Step) -> str:
    variables = [f"{name}={value}" for name, value in step.environment.items()]
    words: Sequence[str] = step.command
    if not all(map(_OWN_VARIABLE.fullmatch, step.environment)):
        variables, words = [], ["env", *variables, *words]
    where = [str(index), step.name, step.working_directory, step.stdout, step.stderr]
    line = shlex.join(["member", *where, str(len(variables)), *variables, *words])
    return line.replace("\n", "'$'\\n''")  # one line, whatever is in its words


# A process of its own watches each member, whose process group can be told to end without it, so that every end is
# written down. It waits for the member in the foreground: bash's `wait`, when a signal interrupts it, may lose the exit
# code. The script itself waits at a pipe on which those processes say that they are done, and looks for stop files once
# a second. It passes signals on to members; since a scheduler may send them to every process, once in a second is
# enough. It makes no other process: an array runs it for each of its elements, and processes are most of what that
# costs. Names begin with an underscore so that no exported variable of the members is changed.
_FUNCTIONS = r"""
set +efu
shopt -u failglob
shopt -s nullglob dotglob
IFS=$' \t\n'
_signals=(TERM INT HUP ALRM USR1 USR2 XCPU)
_names=() _watchers=() _codes=() _term_at=() _kill_at=() _owed=() _seen=() _time=0 _looked=$SECONDS _turns=0 _over=
declare -A _index_of _passed _declined
exec {_one}<<< "" {_other}<<< ""
if [[ -p /dev/fd/$_one && -p /dev/fd/$_other ]]; then
    exec {_ends}<> "/dev/fd/$_one" {_silence}<> "/dev/fd/$_other"
    mapfile -n 1 -u "$_ends" _lines
    mapfile -n 1 -u "$_silence" _lines
else
    exec {_ends}<> <(:) {_silence}<> <(:) # bash before 5.1 makes files of here-strings
fi
exec {_one}<&- {_other}<&-

_now() {
    _time=${EPOCHREALTIME:-$(date +%s.%6N)}
    _time=${_time/[.,]/}
}

_keep() {
    _now
    printf '%s\n' "$_time ${*:2}" > "$_directory/$_name$1"
}

member() {
    [[ -z $_element || $_element == "$1" ]] || return
    local _index=$1 _name=$2 _where=$3 _out=$4 _err=$5 _variables=$6 _lines _words
    shift 6
    while ((_turns && ${#_watchers[@]} >= _turns)) && [[ ! $_over ]]; do _listen; done
    # From here on a signal that comes is owed to it.
    _names[_index]=$_name
    _watchers[_index]=
    [[ ! $_over ]] || _decline "$_name" "$_over"
    if [[ ${_declined[$_name]} ]]; then
        _codes[_index]=143
    elif [[ -s $_directory/$_name.exit ]]; then
        # The scheduler starts the job a second time, and this member had ended.
        mapfile -t _lines < "$_directory/$_name.exit" && _words=(${_lines[0]}) && _codes[_index]=${_words[1]}
    else
        # It had started in a job that was lost: nobody knows whose process group that is here.
        [[ ! -s $_directory/$_name.started ]] || : > "$_directory/$_name.started"
        _index_of[$_name]=$_index
        _watch "$@" &
        _watchers[_index]=$!
    fi
    [[ ${_watchers[_index]} ]] || unset "_watchers[_index]" "_owed[_index]"
    # An element of an array has one member. The lines of the others need not be read.
    [[ -z $_element ]] || wait_for_members
}

# A member that has not had its turn gets none.
_decline() {
    local _name=$1
    [[ ! -s $_directory/$_name.exit ]] || return
    _keep .exit 143 "${@:2}"
    _declined[$_name]=1
}

_watch() {
    local _code _signal _words
    for _signal in "${_signals[@]}"; do trap "_seen+=($_signal)" "$_signal"; done
    if [[ -e $_directory/$_name.stop ]]; then
        _code=143
    else
        : > "$_out"
        : > "$_err"
        exec 2> /dev/null
        set -m
        (_run "$@") < /dev/null >> "$_out" 2>> "$_err" {_ends}>&- {_silence}>&-
        _code=$?
        # What it left behind ends with it.
        for _words in TERM,.002 0,.005 0,.01 0,.02 0,.05 0,.1 0,.2 0,.2 0,.4 KILL,.1; do
            _send "${_words%,*}" "$_name" || break
            read -r -t "${_words#*,}" -u "$_silence" # sleeps without a process
        done
    fi
    _keep .exit "$_code" "${_seen[@]}"
    echo "end $_index $_code" >&"$_ends"
}

_run() {
    _keep .started "$BASHPID"
    # What came while there was no member to pass it on to.
    for _signal in "${_seen[@]}"; do kill -s "$_signal" "$BASHPID"; done
    for ((; _variables > 0; _variables--)); do
        export -- "$1"
        shift
    done
    cd -- "$_where" && exec -- "$@"
}

_send() {
    local _lines
    # Not `read`: while another one waits, that would wait for ever.
    mapfile -t _lines < "$_directory/$2.started" && kill -s "$1" -- "-${_lines[0]#* }"
}

_pass() {
    local _index
    [[ ${_passed[$1]} != "$SECONDS" ]] || return
    _passed[$1]=$SECONDS
    [[ $1 != @(TERM|INT|HUP) ]] || _over=$1
    for _index in "${!_watchers[@]}"; do _owed[_index]+=" $1"; done
    _settle
}

# A member that is about to start gets what it is owed once it has: until then a signal would be lost, or end the
# process that is to watch it.
_settle() {
    local _index _signal _signals
    for _index in "${!_owed[@]}"; do
        [[ ${_watchers[_index]} && -s $_directory/${_names[_index]}.started ]] || continue
        _signals=${_owed[_index]}
        unset "_owed[_index]"
        for _signal in $_signals; do
            kill -s "$_signal" "${_watchers[_index]}"
            _send "$_signal" "${_names[_index]}"
        done
    done 2> /dev/null
}

_look_for_stops() {
    local _file _name _index _lines _words
    _looked=$SECONDS
    for _file in "$_directory"/*.stop; do
        _name=${_file##*/}
        _name=${_name%.stop}
        _index=${_index_of[$_name]}
        [[ $_index || $_element ]] || _decline "$_name"
        [[ $_index && ${_watchers[_index]} ]] || continue
        _now
        if [[ ! ${_kill_at[_index]} ]]; then
            mapfile -t _lines < "$_file" && [[ -s $_directory/$_name.started ]] || continue
            _words=(${_lines[0]})
            _term_at[_index]=$((_time + _words[0]))
            _kill_at[_index]=$((_time + _words[1]))
        fi
        if [[ ${_term_at[_index]} ]] && ((_time >= _term_at[_index])); then
            _send TERM "$_name"
            unset "_term_at[_index]"
        fi
        ((_time < _kill_at[_index])) || _send KILL "$_name"
    done 2> /dev/null
}

_listen() {
    local _mark _index _code _name _lines _words _quiet=$((${#_kill_at[@]} + ${#_owed[@]} == 0))
    if read -r -t "$_quiet.1" -u "$_ends" _mark _index _code && [[ $_mark == end ]]; then
        _codes[_index]=$_code
        unset "_watchers[_index]" "_kill_at[_index]" "_owed[_index]"
    else
        # The time may have been up in the middle of what a watching process said, of which the beginning is lost
        # then; and somebody may have killed one.
        for _index in "${!_watchers[@]}"; do
            kill -s 0 "${_watchers[_index]}" && continue
            _name=${_names[_index]} _lines=() _words=()
            if [[ ! -s $_directory/$_name.started && ! -s $_directory/$_name.exit ]]; then
                wait "${_watchers[_index]}"
                _keep .exit "$?" "$_over" # nobody else tells that it did not start
            fi
            mapfile -t _lines < "$_directory/$_name.exit" && _words=(${_lines[0]})
            _codes[_index]=${_words[1]:-137}
            unset "_watchers[_index]" "_kill_at[_index]" "_owed[_index]"
        done 2> /dev/null
    fi
    ((${#_owed[@]} == 0)) || _settle
    ((_looked == SECONDS && ${#_kill_at[@]} == 0)) || _look_for_stops
}

wait_for_members() {
    local _code
    while ((${#_watchers[@]})); do _listen; done
    for _code in "${_codes[@]}"; do ((_code == 0)) || exit "$_code"; done
    exit 0
}

for _signal in "${_signals[@]}"; do
    # Lines before this may have a use of their own for it.
    [[ $_traps == *"' "?(SIG)"$_signal"$'\n'* ]] || trap "_pass $_signal; _look_for_stops" "$_signal"
done
"""

# An element of an array has one member. It looks for that one's line behind its own, since to go through the lines of
# a hundred others takes as long as to start the shell. Where this is not what bash reads, as when it comes through a
# pipe, it goes through them all the same.
_JUMP = r"""
_here=$LINENO
if [[ $_element && -f ${BASH_SOURCE[0]} ]] &&
    mapfile -t -s $((_here + 4 + _element - %d)) -n 1 _lines < "${BASH_SOURCE[0]}" &&
    [[ ${_lines[0]} == "member $_element "* ]]; then eval "${_lines[0]}"; fi
"""

# How many steps of Slurm can run at once when each has CPUs to itself: no more than the job has CPUs. Started all at
# once they would compete with those that run, and ask the controller again and again. A job of several groups of nodes
# tells only the CPUs of one.
_TURNS = r"""
if [[ ! $SLURM_HET_SIZE ]]; then
    for _cpus in ${SLURM_JOB_CPUS_PER_NODE//,/ }; do
        _nodes=1
        [[ $_cpus != *x* ]] || _nodes=${_cpus#*x}
        ((_turns += ${_cpus%%(*} * ${_nodes%)}))
    done
fi
"""

"""What each user of a database may do, command by command, with the real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from smartsim import Experiment
from smartsim.adapters.work.connection import encode
from smartsim.database import Orchestrator

DEADLINE = 30.0
# Every command that the server and our module have. One that a later server brings makes the tests fail, until somebody
# has decided on which side it belongs.
_ALLOWED = """
AI.CONFIG AI.DAGEXECUTE AI.DAGEXECUTE_RO AI.DAGRUN AI.DAGRUN_RO AI.INFO AI.MODELDEL AI.MODELEXECUTE AI.MODELGET
AI.MODELRUN AI.MODELSET AI.MODELSTORE AI.SCRIPTDEL AI.SCRIPTEXECUTE AI.SCRIPTGET AI.SCRIPTRUN AI.SCRIPTSET
AI.SCRIPTSTORE AI.TENSORGET AI.TENSORSET AI._DAGLOCAL AI._DATASETCOPY AI._DATASETDEL AI._DATASETGET AI._DATASETPUT
AI._DATASETRENAME AI._MODELSCAN AI._SCRIPTSCAN AI._WAIT

append decr decrby delifeq get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetex msetnx
psetex set setex setnx setrange strlen substr
bitcount bitfield bitfield_ro bitop bitpos getbit setbit pfadd pfcount pfmerge
hdel hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys hlen hmget hmset
hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset hsetex hsetnx hstrlen httl hvals
blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim
rpop rpoplpush rpush rpushx
sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop srandmember srem
sscan sunion sunionstore
bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop
zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex
zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore
xack xadd xautoclaim xclaim xdel xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|help
xgroup|setid xinfo|consumers xinfo|groups xinfo|help xinfo|stream xlen xpending xrange xread xreadgroup xrevrange
xsetid xtrim
geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch
geosearchstore

clusterscan copy dbsize del dump exists expire expireat expiretime move object|encoding object|freq object|help
object|idletime object|refcount persist pexpire pexpireat pexpiretime pttl randomkey rename renamenx scan touch ttl
type unlink flushdb save memory|usage
discard exec multi unwatch watch
psubscribe publish pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub
punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe

asking auth echo hello ping quit readonly readwrite reset select time wait waitaof
client|caching client|capa client|getname client|getredir client|help client|id client|import-source client|info
client|no-touch client|reply client|setinfo client|setname client|tracking client|trackinginfo
cluster|countkeysinslot cluster|getkeysinslot cluster|info cluster|keyslot cluster|myid cluster|nodes
cluster|shards cluster|slots
command|count command|docs command|getkeys command|getkeysandflags command|help command|info command|list
config|get info
"""
_REFUSED = """
AI._WORKER
acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log acl|save acl|setuser
acl|users acl|whoami
bgrewriteaof bgsave lastsave shutdown failover replconf replicaof slaveof psync sync role
client|kill client|list client|no-evict client|pause client|unblock client|unpause monitor
cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|cancelslotmigrations
cluster|count-failure-reports cluster|delslots cluster|delslotsrange cluster|failover cluster|flushslot
cluster|flushslots cluster|forget cluster|getslotmigrations cluster|help cluster|links cluster|meet
cluster|migrateslots cluster|myshardid cluster|replicas cluster|replicate cluster|reset cluster|saveconfig
cluster|set-config-epoch cluster|setslot cluster|slaves cluster|slot-stats cluster|syncslots
commandlog|get commandlog|help commandlog|len commandlog|reset slowlog|get slowlog|help slowlog|len slowlog|reset
latency|doctor latency|graph latency|help latency|histogram latency|history latency|latest latency|reset
config|help config|resetstat config|rewrite config|set
debug pfdebug pfselftest memory|doctor memory|help memory|malloc-stats memory|purge memory|stats
module|help module|list module|load module|loadex module|unload
eval eval_ro evalsha evalsha_ro fcall fcall_ro function|delete function|dump function|flush function|help
function|kill function|list function|load function|restore function|stats script|debug script|exists script|flush
script|help script|kill script|load script|show
flushall keys sort sort_ro swapdb migrate restore restore-asking
lolwut pubsub|help
"""
ALLOWED, REFUSED = frozenset(_ALLOWED.split()), frozenset(_REFUSED.split())
CLOSED_TO_ALL = frozenset({"debug", "module|load", "module|loadex", "module|unload"})  # to the administrator, too
WITHOUT_PASSWORD = frozenset({"auth", "quit", "reset"})  # the connection's own


@pytest.fixture(scope="module", params=[False, True], ids=["open", "closed"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestrator]:
    with Experiment("access", str(tmp_path_factory.mktemp("access"))) as exp:
        database = exp.create_database(port=0, password=request.param)
        exp.start(database)
        yield database


def connect(database: Orchestrator, **login: str | None) -> redis.Redis:
    return redis.Redis(port=database.ports[0], protocol=2, **login)  # type: ignore[arg-type]


@pytest.fixture
def admin(database: Orchestrator) -> Iterator[redis.Redis]:
    password = Path(database.path, "admin_password").read_text().strip()
    with connect(database, username="admin", password=password) as admin:
        yield admin


@pytest.fixture
def application(database: Orchestrator) -> Iterator[redis.Redis]:
    with connect(database, password=database.password) as application:
        yield application


def ask(client: redis.Redis, *words: str) -> Any:
    """Return what the server answers, as it is."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        client.connection_pool.release(connection)


def _commands(client: redis.Redis) -> dict[str, list[str]]:
    """Return all commands of a server, each with as many words as it needs at least."""
    commands = [each for command in ask(client, "COMMAND") for each in command[9] or [command]]
    shapes = [(command[0].decode(), abs(command[1])) for command in commands]
    return {name: [*name.split("|"), *["1"] * (arity - 1 - name.count("|"))] for name, arity in shapes}


def _answer(database: Orchestrator, words: list[str], password: str | None = None) -> str:
    """Return how a command is refused, "CLOSED" if it is to everybody."""
    with socket.create_connection(("127.0.0.1", database.ports[0]), DEADLINE) as connection:
        if password is not None:
            connection.sendall(encode("AUTH", password))
            assert connection.recv(1000) == b"+OK\r\n"
        connection.sendall(encode(*words))
        answer = connection.recv(1000).decode()
    codes = {"NOAUTH": "NOAUTH", "NOPERM": "NOPERM", "WRONGPASS": "WRONGPASS", "command not allowed": "CLOSED"}
    return next((code for text, code in codes.items() if text in answer), answer)


def test_each_command_is_the_applications_or_the_administrators(database: Orchestrator, admin: redis.Redis) -> None:
    commands = _commands(admin)
    assert not ALLOWED & REFUSED
    assert commands.keys() - ALLOWED - REFUSED == set(), "new commands: may applications have them?"
    assert (ALLOWED | REFUSED) - commands.keys() == set()
    allowed = {name for name in commands if _may(admin, "default", commands[name])}
    assert sorted(allowed) == sorted(ALLOWED)
    told = {name: _answer(database, commands[name], database.password) for name in REFUSED}
    assert told == dict.fromkeys(REFUSED, "NOPERM") | dict.fromkeys(CLOSED_TO_ALL, "CLOSED")


def _may(admin: redis.Redis, user: str, words: list[str]) -> bool:
    return bool(ask(admin, "ACL", "DRYRUN", user, *words) == b"OK")


def test_the_lists_that_a_server_has_of_its_commands_agree(admin: redis.Redis) -> None:
    commands = _commands(admin).keys()
    containers = {name.split("|")[0] for name in commands if "|" in name}
    assert {name.decode() for name in ask(admin, "COMMAND", "LIST")} == commands | containers
    documented = {name.decode() for name in ask(admin, "COMMAND", "DOCS")[::2]}
    assert documented == {name for name in commands if "|" not in name} | containers


def test_without_the_password_no_command_is_carried_out(database: Orchestrator, admin: redis.Redis) -> None:
    commands = {name: words for name, words in _commands(admin).items() if name not in WITHOUT_PASSWORD}
    told = {name: _answer(database, words) for name, words in commands.items() if name in REFUSED or database.password}
    if database.password:
        assert told == dict.fromkeys(commands, "NOAUTH")
    else:
        assert told == dict.fromkeys(REFUSED, "NOPERM") | dict.fromkeys(CLOSED_TO_ALL, "CLOSED")
    assert _answer(database, ["AUTH", "admin", "wrong"]) == "WRONGPASS"


def test_workers_may_work_and_nothing_else(admin: redis.Redis) -> None:
    allowed = {name for name, words in _commands(admin).items() if _may(admin, "worker", words)}
    assert allowed == {"AI._WORKER", "ping", "hello", "client|list", "info", *WITHOUT_PASSWORD}


def test_who_samples_may_ask_and_read_no_value(admin: redis.Redis) -> None:
    allowed = {name for name, words in _commands(admin).items() if _may(admin, "observer", words)}
    assert allowed == {"info", "slowlog|get", "scan", "type", "memory|usage", "hello", *WITHOUT_PASSWORD}


def test_settings_can_be_read_and_tell_no_password(
    database: Orchestrator, admin: redis.Redis, application: redis.Redis
) -> None:
    settings: Any = application.config_get("*")
    assert settings["maxmemory"] == "0"
    closed = ("enable-module-command", "enable-debug-command", "enable-protected-configs")
    assert {settings[name] for name in closed} == {"no"}
    assert (settings["requirepass"], settings["masterauth"]) == ("", "")
    secrets = [path.read_text().strip() for path in Path(database.path).glob("*password")]
    assert len(secrets) == 3 + database.needs_password
    assert not [secret for secret in secrets if secret in str(settings)]
    with pytest.raises(redis.ResponseError, match="protected config"):
        admin.config_set("dir", "/tmp")
    with pytest.raises(redis.ResponseError, match="MODULE command not allowed"):
        admin.execute_command("MODULE LOAD", "/nowhere/evil.so")


def test_where_replicas_log_in_applications_read_no_settings(tmp_path: Path) -> None:
    with Experiment("access", str(tmp_path)) as exp:
        cluster = exp.create_database(port=0, db_nodes=3, replicas=1)
        exp.start(cluster)
        for port in cluster.ports:
            with redis.Redis(port=port) as application:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    application.config_get("masterauth")
                application.info("everything")

"""SQL of a user: 37 statements that try to get out, and runaways. Nothing is written, nothing outside is read."""

import os
from pathlib import Path

import pytest
from ocpp_proxy_captures import sandbox
from ocpp_proxy_captures.database import segments

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.model import CaptureError, ConfigError
from tests.captures.capture_streams import fill, stream

SECRET = "do-not-read-me"
STATEMENTS = (
    "SELECT * FROM read_text('{secret}')", "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM read_csv('{secret}', header = false)", "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM sniff_csv('{secret}')", "SELECT * FROM '{folder}/none.csv'", "SELECT * FROM '{secret}'",
    "SELECT * FROM read_parquet('{secret}')", "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')", "COPY (SELECT 1) TO '{folder}/out.csv'",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/out2.csv'", "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "EXPORT DATABASE '{folder}/exported'", "ATTACH '{folder}/new.duckdb'", "ATTACH '{folder}/new.duckdb' AS x (READ_ONLY)",
    "ATTACH ':memory:' AS m; COPY (SELECT 1) TO '{folder}/out3.csv'", "INSTALL httpfs", "LOAD '{folder}/x.duckdb_extension'",
    "SET log_query_path = '{folder}/log'", "CALL enable_logging(storage = 'file', storage_path = '{folder}/logs')",
    "SET memory_limit = '99GB'", "SET enable_external_access = true", "SET temp_directory = '{folder}/temp'",
    "PRAGMA enable_profiling", "PRAGMA profiling_output = '{folder}/profile'", "SET profile_output = '{folder}/profile'",
    "SELECT * FROM sys", "FROM duckdb_secrets()", "CREATE SECRET s (TYPE s3)", "SELECT * FROM which_secret('s3://x', 's3')",
    "DELETE FROM wire", "DROP TABLE wire", "CREATE TABLE capture.main.x AS SELECT 1", "SELECT getenv('HOME')",
    "SET lock_configuration = false",
)
MAY_ANSWER = STATEMENTS[21], STATEMENTS[25]             # no refusal on every DuckDB, and no effect
HARMLESS = (
    "SELECT count(*) FROM duckdb_settings()", "SELECT count(*) FROM duckdb_functions()", "VACUUM", "SELECT write_log('x')",
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture")
    fill(folder / "a.duckdb", stream(300))
    return folder / "a.duckdb"


def test_there_are_37_of_them() -> None:
    assert len(set(STATEMENTS)) == 37


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nothing_gets_out(capture: Path, tmp_path: Path, statement: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET + "\n")
    before = capture.read_bytes()
    try:
        text = str(sandbox.run([capture], statement.format(secret=secret, folder=tmp_path)).rows)
        assert statement in MAY_ANSWER
    except ConfigError as error:
        text = str(error)
    assert SECRET not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt"]
    assert capture.read_bytes() == before and [path.name for path in capture.parent.iterdir()] == ["a.duckdb"]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nothing_gets_out_of_a_folder_either(folder: Path, tmp_path: Path, statement: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET + "\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    try:
        text = str(sandbox.run(segments(folder), statement.format(secret=secret, folder=tmp_path)).rows)
    except ConfigError as error:
        text = str(error)
    assert SECRET not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt"]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "capture"
    fill(folder, stream(300), 50, CaptureConfig(rotate_messages=120))
    assert len(segments(folder)) > 1
    return folder


def test_harmless_statements_pass(capture: Path) -> None:
    for statement in HARMLESS:
        sandbox.run([capture], statement)


def test_the_environment_of_the_parent_stays_outside(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPP_PROXY_TOKEN", SECRET)
    with pytest.raises(ConfigError) as refused:
        sandbox.run([capture], "SELECT getenv('OCPP_PROXY_TOKEN')")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(("statement", "words"), [
    ("SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)", "took longer than 2 s"),
    ("SELECT list(i) FROM range(100000000) t(i)", "not enough memory|ended by|no answer"),
    ("SELECT repeat('x', 2000000000) || repeat('y', 2000000000)", "not enough memory|ended by|no answer"),
    ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "."),
])
def test_runaways_are_stopped(capture: Path, statement: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sandbox.run([capture], statement, seconds=2 if "sum(" in statement else 30)


def test_deep_json_answers(capture: Path) -> None:
    deep = "SELECT json_extract(repeat('[', 200000) || repeat(']', 200000), '$[0]') IS NULL"
    try:
        sandbox.run([capture], deep)
    except ConfigError as error:
        assert "took longer" not in str(error)


def test_a_result_is_cut(capture: Path) -> None:
    table = sandbox.run([capture], "SELECT i FROM range(100) t(i) ORDER BY i", rows=7)
    assert table.cut and table.rows == [[number] for number in range(7)]
    assert not sandbox.run([capture], "SELECT i FROM range(7) t(i)", rows=7).cut


def test_values_are_plain_json(capture: Path) -> None:
    table = sandbox.run([capture], """
        SELECT 1::HUGEINT AS a, 1.5::DECIMAL(4,2) AS b, 'x'::BLOB AS c, [1, NULL] AS d, {'k': DATE '2026-01-02'} AS e,
        TIMESTAMPTZ '2026-01-02 03:04:05+01' AS f, INTERVAL 90 MINUTE AS g, 'nan'::DOUBLE AS h,
        uuid '00000000-0000-0000-0000-000000000001' AS i""")
    assert table.columns == list("abcdefghi")
    assert table.rows == [[1, 1.5, "78", [1, None], {"k": "2026-01-02"}, "2026-01-02T02:04:05Z", "1:30:00", "nan",
                           "00000000-0000-0000-0000-000000000001"]]


def test_an_abort_of_the_child_is_a_query_that_failed(capture: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "ocpp_proxy_captures"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sandbox.py").write_text("import os; os.abort()")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(ConfigError, match="ended by SIGABRT"):
        sandbox.run([capture], "SELECT 1")


def test_a_damaged_capture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb").write_bytes(os.urandom(20_000))
    with pytest.raises(CaptureError, match=r"a\.duckdb: is not a capture or is damaged"):
        sandbox.run([tmp_path / "a.duckdb"], "SELECT 1 FROM wire")

"""With HUB_DATABASE_URL the same commands work on PostgreSQL, and say the same."""

from __future__ import annotations

from typing import Any


def test_the_whole_loop_says_the_same_on_postgresql(home: Any, pg_database: str):
    on_sqlite = [home.call(verb, "--json").document for verb in ("sync", "unify", "decide")]

    ran = home.call("run", "--json", HUB_DATABASE_URL=pg_database)
    again = home.call("run", "--json", HUB_DATABASE_URL=pg_database)
    listed = home.call("accounts", HUB_DATABASE_URL=pg_database)
    account = listed.documents[0]["account_id"]
    proof = home.call("explain", account, "--json", HUB_DATABASE_URL=pg_database)
    doctor = home.call("doctor", "--json", HUB_DATABASE_URL=pg_database)

    assert ran.document["troubles"] == []
    assert (ran.code, again.code, proof.code, doctor.code) == (0, 0, 0, 0)
    assert [one["counts"] for one in ran.document["steps"][:3]] == [
        one["steps"][0]["counts"] for one in on_sqlite
    ]
    assert again.document["steps"][3]["counts"]["planned"] == 0
    assert listed.out == home.call("accounts").out
    assert proof.document["signals"] == home.call("explain", account, "--json").document["signals"]

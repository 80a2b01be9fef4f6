"""The REST API as flespi's users know it, and what it must refuse."""
import json
import socket
import threading
import time
import urllib.parse

import pytest
from stack import Stack, wait_for

pytestmark = pytest.mark.one_door("REST")


def errors(answer):
    return [e["reason"] for e in answer["errors"]]


def test_a_created_token_shows_its_key_once(stack, customer):
    token = customer.token(info="x", metadata={"a": "b"})
    assert len(token) == 64 and token.isalnum()
    status, answer = customer.rest("GET", "/platform/tokens/%d" % token.id)
    assert status == 200
    row = answer["result"][0]
    assert "key" not in row and row["info"] == "x" and row["metadata"] == {"a": "b"} and row["cid"] == customer.cid
    assert token not in json.dumps(answer)


def test_auth_info_tells_a_token_about_itself(stack, customer):
    token = customer.acl(("a/#", "subscribe"))
    status, answer = stack.rest("GET", "/auth/info", token=token)
    assert status == 200
    me = answer["result"][0]
    assert (me["cid"], me["id"], me["enabled"], me["access"]["type"]) == (customer.cid, token.id, True, 2)
    assert me["access"]["acl"][0]["topic"] == "a/#"


@pytest.mark.parametrize("header", ["FlespiToken %s", "%s"])
def test_both_forms_of_the_authorization_header(stack, customer, header):
    status, _ = stack.rest("GET", "/platform/customer", token=False, headers={"Authorization": header % customer.master})
    assert status == 200


@pytest.mark.parametrize("path", ["/auth/info", "/platform/tokens/all", "/platform/customer", "/platform/subaccounts/all", "/nothing/here", "/"])
def test_no_token_is_401_everywhere(stack, path):
    assert stack.rest("GET", path, token=False)[0] == 401
    assert stack.rest("GET", path, token="x" * 64)[0] == 401


def test_a_token_that_is_not_a_master_may_not_touch_the_platform(stack, customer):
    for token in (customer.token(), customer.acl(("#", "publish subscribe"))):
        assert stack.rest("GET", "/platform/tokens/all", token=token)[0] == 403
        assert stack.rest("POST", "/platform/tokens", [{"ttl": 10}], token=token)[0] == 403
        assert stack.rest("GET", "/platform/customer", token=token)[0] == 403


def test_an_unknown_field_is_400_with_a_hint(stack, customer):
    status, answer = customer.rest("POST", "/platform/tokens", [{"ttl": 10, "colour": "red"}])
    assert status == 400
    text = json.dumps(answer)
    assert "schema_hint" in text and "ttl" in text and "colour" in text


@pytest.mark.parametrize("raw", [b"", b"{", b"[", b"[]x", b'[{"ttl":1,"ttl":2}]', b'"text"', b"17", b'[{"ttl":1e999}]', b'[{"ttl":-5}]', b'[{"info":"\\u0000"}]',
                                 b'[{"info":"\\ud800"}]', b"[" * 5000 + b"]" * 5000, b'[{"ttl":"1"}]', b'[{"access":{"type":7}}]', b'[{"access":{"type":2,"acl":[{"uri":"nope"}]}}]',
                                 b'[{"access":{"type":2,"acl":[{"uri":"mqtt","topic":"flespi/#","actions":["subscribe"]}]}}]',
                                 b'[{"access":{"type":2,"acl":[{"uri":"mqtt","topic":"a/#/b","actions":["subscribe"]}]}}]', b'[{"ips":"host name"}]'], ids=lambda raw: repr(raw[:40]))
def test_bad_json_and_bad_values_are_400(stack, customer, raw):
    status, answer = customer.rest("POST", "/platform/tokens", raw=raw)
    assert status == 400, answer
    assert errors(answer)[0]


def test_a_body_over_the_limit_is_413(stack, customer):
    try:
        status, _ = customer.rest("POST", "/platform/tokens", raw=b" " * (32 << 20))
    except OSError:
        return      # closed while it was still being sent is an answer, too
    assert status == 413


def test_a_foreign_id_is_404_for_every_method(stack, customer, other):
    token = other.token()
    path = "/platform/tokens/%d" % token.id
    assert customer.rest("GET", path)[0] == 404
    assert customer.rest("PUT", path, {"enabled": False})[0] == 404
    assert customer.rest("DELETE", path)[0] == 404
    assert customer.rest("GET", "/platform/subaccounts/%d" % other.cid)[0] == 404
    assert customer.rest("GET", "/platform/tokens/all", cid=other.cid)[0] == 404
    assert customer.rest("GET", "/platform/tokens/all", cid=1)[0] == 404
    assert other.rest("GET", path)[0] == 200


def test_a_parent_acts_in_its_child_by_the_cid_header(stack, customer):
    status, answer = stack.rest("GET", "/platform/tokens/all", cid=customer.cid)
    assert status == 200
    assert {t["cid"] for t in answer["result"]} == {customer.cid}


def test_selectors_and_fields(stack, customer):
    a, b = customer.token(info="one"), customer.token(info="two")
    sel = lambda s: sorted(t["id"] for t in customer.rest("GET", "/platform/tokens/" + s)[1]["result"])
    assert sel("%d" % a.id) == [a.id]
    assert sel("%d,%d" % (a.id, b.id)) == sorted([a.id, b.id])
    assert set(sel("all")) >= {a.id, b.id}
    assert sel(urllib.parse.quote("info=two")) == [b.id]
    status, answer = customer.rest("GET", "/platform/tokens/%d?fields=id,info" % a.id)
    assert answer["result"] == [{"id": a.id, "info": "one"}]


def test_a_list_with_one_missing_id_gives_result_and_errors(stack, customer):
    a = customer.token()
    status, answer = customer.rest("GET", "/platform/tokens/%d,999999999" % a.id)
    assert [t["id"] for t in answer["result"]] == [a.id]
    assert answer["errors"]


def test_a_put_replaces_fields_of_all_that_are_selected(stack, customer):
    a, b = customer.token(), customer.token()
    status, answer = customer.rest("PUT", "/platform/tokens/%d,%d" % (a.id, b.id), {"info": "same"})
    assert status == 200 and [t["info"] for t in answer["result"]] == ["same", "same"]


def test_a_token_over_its_ttl_is_refused_and_deleted_when_its_grace_is_over(tmp_path):
    s = Stack(tmp_path / "state", config="[admin]\ntoken_grace = 6s\n").start()
    try:
        customer = s.new_customer()
        token = customer.token(ttl=2)
        assert s.rest("GET", "/auth/info", token=token)[0] == 200
        time.sleep(3.2)
        assert s.rest("GET", "/auth/info", token=token)[0] in (401, 403)
        assert customer.rest("GET", "/platform/tokens/%d" % token.id)[0] == 200
        wait_for(lambda: customer.rest("GET", "/platform/tokens/%d" % token.id)[0] == 404, 25, 0.3)
    finally:
        s.stop()


def test_use_keeps_a_ttl_token_alive(stack, customer):
    token = customer.token(ttl=4)
    for _ in range(4):
        time.sleep(1.5)
        assert stack.rest("GET", "/auth/info", token=token)[0] == 200


def test_a_disabled_token_is_refused(stack, customer):
    token = customer.token()
    customer.change_token(token, enabled=False)
    status, answer = stack.rest("GET", "/auth/info", token=token)
    assert status == 403 and "disabled" in errors(answer)[0]


def test_the_ips_of_a_token_count_for_rest_calls(stack, customer):
    key = customer.token(access={"type": 1}, ips="10.3.*")
    assert stack.rest("GET", "/platform/customer", token=key)[0] == 403


def test_deleting_a_customer_ends_its_tokens(stack, customer):
    master = customer.master
    assert stack.rest("DELETE", "/platform/subaccounts/%d" % customer.cid)[0] == 200
    assert stack.rest("GET", "/platform/customer", token=master)[0] == 401


def test_four_levels_of_subaccounts_and_no_fifth(stack):
    cid, token = None, None
    for level in range(4):
        status, answer = stack.rest("POST", "/platform/subaccounts", [{"name": "level %d" % level}], **({"cid": cid} if cid else {}))
        assert status == 200, answer
        cid = answer["result"][0]["id"]
    status, answer = stack.rest("POST", "/platform/subaccounts", [{"name": "too deep"}], cid=cid)
    assert status in (400, 403) and errors(answer)


@pytest.mark.parametrize("path", ["/platform/tokens/all/", "//platform/tokens/all", "/platform/../platform/tokens/all", "/PLATFORM/tokens/all", "/platform/%2e%2e/tokens/all",
                                  "/platform/tokens", "/platform/tokens/all/more"])
def test_other_spellings_of_a_path_are_not_found_or_not_allowed_and_never_open(stack, customer, path):
    assert stack.rest("GET", path, token=False)[0] == 401
    status, answer = customer.rest("GET", path)
    # libwebsockets folds `//` and `/../` before we see the path: then it is the plain path, with the same checks
    assert status in (400, 404, 405) or (status == 200 and ("//" in path or "/../" in path)), (status, answer)


def raw_http(stack, text):
    host, port = stack.ready["api"].split("//")[1].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(text.encode())
        s.settimeout(10)
        out = b""
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                out += more
        except socket.timeout:
            pass
        return out.decode(errors="replace")


def test_a_body_on_a_get_cannot_smuggle_a_second_request(stack, customer):
    inner = "GET /auth/info HTTP/1.1\r\nHost: x\r\nAuthorization: FlespiToken %s\r\n\r\n" % customer.master
    said = raw_http(stack, "GET /auth/info HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(inner), inner))
    assert said.count("HTTP/1.") == 1 and '"result"' not in said


def test_a_chunked_body_is_411(stack, customer):
    said = raw_http(stack, "POST /platform/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
                           "Connection: close\r\n\r\n2\r\n[]\r\n0\r\n\r\n" % customer.master)
    assert said.startswith("HTTP/1.1 411")


def test_a_wrong_content_type_is_415(stack, customer):
    assert customer.rest("POST", "/platform/tokens", raw=b"[]", headers={"Content-Type": "text/plain"})[0] == 415


# ---- Changes of many ----

def many_tokens(customer, count):
    for i in range(0, count, 100):
        status, answer = customer.rest("POST", "/platform/tokens", [{"info": "many", "access": {"type": 0}, "ttl": 3600}] * min(100, count - i))
        assert status == 200, answer


def infos(customer):
    return [t["info"] for t in customer.rest("GET", "/platform/tokens/all?fields=info")[1]["result"]]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_of_many_tokens_lets_other_callers_in_between(stack, method):
    busy, other = stack.new_customer(), stack.new_customer()
    other.rest("GET", "/platform/customer")
    many_tokens(busy, 800)
    answered = []

    def change():
        answered.append(busy.rest(method, "/platform/tokens/info=many?fields=id", {"info": "changed"} if method == "PUT" else None))
    thread = threading.Thread(target=change)
    served = 0
    thread.start()
    while thread.is_alive():
        assert other.rest("GET", "/platform/customer")[0] == 200
        served += not answered
    status, answer = answered[0]
    assert status == 200 and len(answer["result"]) == 800 and "errors" not in answer
    assert infos(busy).count("many") == 0
    assert infos(busy).count("changed") == (800 if method == "PUT" else 0)
    assert served >= 4    # of 50 pieces; in one piece it was one or two


def test_a_change_of_many_tokens_is_done_to_its_end_when_the_caller_goes(stack):
    customer = stack.new_customer()
    many_tokens(customer, 200)
    where = urllib.parse.urlparse(stack.ready["api"])
    body = json.dumps({"info": "changed"}).encode()
    with socket.create_connection((where.hostname, where.port)) as s:
        s.sendall(b"PUT /platform/tokens/info=many HTTP/1.1\r\nHost: x\r\nAuthorization: FlespiToken %s\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\n%sConnection: close\r\n\r\n" % (
                      (customer.master or stack.master).encode(), len(body), b"" if customer.master else b"x-flespi-cid: %d\r\n" % customer.cid) + body)
        wait_for(lambda: infos(customer).count("changed") > 0, 10)
    wait_for(lambda: infos(customer).count("changed") == 200, 20)


def test_what_cannot_be_changed_among_many_is_told_in_errors(stack):
    customer = stack.new_customer()
    many_tokens(customer, 40)
    ids = [t["id"] for t in customer.rest("GET", "/platform/tokens/info=many?fields=id")[1]["result"]]
    asked = ids[:20] + [1, 2] + ids[20:]
    status, answer = customer.rest("PUT", "/platform/tokens/" + ",".join(map(str, asked)), {"info": "changed"})
    assert status == 200 and len(answer["result"]) == 40
    assert sorted(e["id"] for e in answer["errors"]) == [1, 2]


def test_an_account_has_four_changes_of_many_under_way(stack):
    busy = stack.new_customer()
    many_tokens(busy, 400)
    codes = []

    def change():
        codes.append(busy.rest("PUT", "/platform/tokens/info=many?fields=id", {"metadata": {"a": "b"}})[0])
    threads = [threading.Thread(target=change) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert codes.count(200) >= 4 and set(codes) == {200, 429}
    assert busy.rest("PUT", "/platform/tokens/info=many?fields=id", {"metadata": {}})[0] == 200

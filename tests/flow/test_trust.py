"""Whom clients that nobody here wrote trust, and whom we trust of them: another authority on either side, 8883 and 443."""
import ssl
import subprocess

import doors
import pytest
from certs import Authority
from clients import MqttJs, Paho, VERSIONS, mosquitto_pub
from interop import PahoC, PahoDriver
from proxy import Proxy
from stack import SLOW, wait_for

pytestmark = pytest.mark.one_door("TLS and WebSocket over TLS stand beside each other")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that has signed nothing of ours."""
    return Authority(tmp_path_factory.mktemp("stranger")).pem


def trusting(stack, where, ca):
    p = doors.port(stack.ready, where)
    p.ca = ca
    return p


# ---- Theirs: each returns what it says against us ----

def by_mosquitto(port, token, version, name):
    code, said = mosquitto_pub(port, token, "t", "m", version, extra=["-i", name])
    assert code != 0
    return said


def by_paho(port, token, version, name):
    with pytest.raises(ssl.SSLCertVerificationError) as e:
        Paho(port, token, name, version)
    return str(e.value)


def by_paho_c(port, token, version, name):
    c = PahoC(port, token, version, name)
    driver = PahoDriver(c.url, id=name, token=token, version=version, clean=True, ca=c.ca)
    driver.close()
    return driver.first["error"] and "certificate"      # it has no words for it


def by_mqttjs(port, token, version, name):
    with MqttJs(port, token, name, version) as js:
        assert js.first["event"] == "error"
        return js.first["text"]


CLIENTS = {"mosquitto": (by_mosquitto, ["tls"]), "paho-python": (by_paho, ["tls", "wss"]), "paho-c": (by_paho_c, ["tls", "wss"]), "mqttjs": (by_mqttjs, ["tls", "wss"])}


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("client,where", [(c, where) for c, (_, places) in CLIENTS.items() for where in places])
def test_a_client_that_trusts_another_authority_tells_us_nothing(stack, customer, stranger, client, where, version):
    token, name = customer.token(), "never-%s-%s-%d" % (client, where, version)
    said = CLIENTS[client][0](trusting(stack, where, stranger), token, version, name)
    assert "certificate" in said.lower() or "tls" in said.lower(), said

    def next_is_told():
        Paho(doors.port(stack.ready, where), token, "next-" + name, version).close()
        return "client=next-%s ev=open" % name in stack.log("proxy")
    # whoever comes next is told (more than once, if this second's lines are used up); that one was not even heard of
    wait_for(next_is_told, 10, step=0.5)
    assert "client=" + name not in stack.log("proxy") and token not in stack.log("proxy")


# ---- Ours: a token for certain certificates ----

@pytest.fixture(scope="module")
def asking(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("asking")
    ca = Authority(folder, "factory")
    p = Proxy(stack, folder / "p", "mqtts = 127.0.0.1:0", "wss = 127.0.0.1:0", "tls_cert = %s/tls/server.pem" % stack.state, "tls_key = %s/tls/server.key" % stack.state,
              "tls_client_ca = " + ca.pem, "tls_client_required = off")
    p.shown = {"lamp": ca.issue("lamp"), "kettle": ca.issue("kettle"), "none": None}
    p.start()
    yield p
    p.stop()


def publish_by_mosquitto(port, token, version, cert):
    return mosquitto_pub(port, token, "t", "m", version, qos=1, extra=["--cert", cert[0], "--key", cert[1]] if cert else [])[0] == 0


def publish_by_paho(port, token, version, cert):
    p = Paho(port, token, "paho", version, connect=False)
    if cert:
        p.client._ssl_context.load_cert_chain(*cert)
    try:
        p.connect()
        p.publish("t", "m", qos=1)
        return True
    except AssertionError:
        return False
    finally:
        p.close()


def publish_by_mqttjs(port, token, version, cert):
    class Js(MqttJs):
        def say(self, **what):
            if cert and what["do"] == "connect":
                what["options"].update(zip(("cert", "key"), (open(f).read() for f in cert)))
            super().say(**what)

    with Js(port, token, "js", version) as js:
        return js.first["event"] == "connect" and not js.publish("t", "m", qos=1)["error"]


@pytest.mark.parametrize("publish,where", [(publish_by_mosquitto, "tls"), (publish_by_paho, "tls"), (publish_by_paho, "wss"), (publish_by_mqttjs, "tls"), (publish_by_mqttjs, "wss")],
                         ids=["mosquitto-tls", "paho-tls", "paho-wss", "mqttjs-tls", "mqttjs-wss"])
def test_a_token_for_a_certificate_is_good_with_it_and_not_without(customer, asking, publish, where):
    token = customer.token(certs="lamp")
    assert {name: publish(asking.door(where), token, 5, cert) for name, cert in asking.shown.items()} == {"lamp": True, "kettle": False, "none": False}

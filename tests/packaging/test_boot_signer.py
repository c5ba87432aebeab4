"""The signer as systemd itself starts it, when it is asked: its user, its socket, its sandbox."""

from __future__ import annotations

import json

from tests.packaging.test_boot import Booted

_SCRIPT = """
cd /shared
systemd-sysusers
systemd-tmpfiles --create flocon.conf
systemctl daemon-reload
systemctl start flocon-sign.socket
repo() { python -m flocon.cli repo "$@"; }
systemctl is-active flocon-sign >before
repo init home >made 2>&1
process=$(systemctl show flocon-sign --property=MainPID --value)
echo "$(systemctl is-active flocon-sign) $(stat -c %U /proc/$process)" >after
cp flocon.pkg.tar.zst flocon-0.1.0-1-any.pkg.tar.zst
repo add flocon-0.1.0-1-any.pkg.tar.zst --yes >added 2>&1
repo key --json >key
cd /
node="setpriv --reuid=flocon --regid=flocon --clear-groups"
$node python -m flocon.cli repo list >/shared/listed 2>&1
$node python -m flocon.cli repo remove flocon >/shared/removed 2>&1
$node cat /var/lib/flocon-sign/keys/home/keys.json >/shared/peeked 2>&1
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
$nobody python -m flocon.cli repo remove flocon >/shared/strange 2>&1
$nobody python -m flocon.cli repo list >/shared/looked 2>&1
$nobody python -m flocon.cli repo key >>/shared/looked 2>&1
$nobody gpgv --keyring /var/lib/flocon-repository/home/key.gpg \\
  /var/lib/flocon-repository/home/current/home.db.sig \\
  /var/lib/flocon-repository/home/current/home.db >/shared/verified 2>&1
echo $? >>/shared/verified
cd /shared
stat -c '%U %a %n' /var/lib/flocon-sign /var/lib/flocon-repository /run/flocon-sign/socket \\
  >folders
ls -l /proc/$process/ns/net /proc/1/ns/net | sed 's/.*-> //' | sort -u | wc -l >networks
systemctl stop flocon-sign
# What it leaves running, and whether it comes again.
cat /sys/fs/cgroup/system.slice/flocon-sign.service/cgroup.procs >left 2>/dev/null
repo list --json >again 2>again.err
journalctl -u flocon-sign -p warning --quiet --output=cat >warnings
"""


class BootedSigner(Booted):
    script = _SCRIPT

    def test_it_is_started_when_it_is_asked_as_a_user_of_its_own(self) -> None:
        self.assertEqual(self.said("before"), "inactive")
        self.assertIn("flocon repo join home", self.said("made"))
        self.assertEqual(self.said("after"), "active flocon-sign")

    def test_it_examines_and_signs_within_its_sandbox(self) -> None:
        self.assertIn("flocon 0.1.0-1 is signed and published", self.said("added"))
        self.assertTrue(self.said("verified").endswith("\n0"), self.said("verified"))

    def test_the_node_may_ask_for_what_is_its_own_and_sees_no_key(self) -> None:
        self.assertIn("0.1.0-1", self.said("listed"))
        self.assertIn("not for this user", self.said("removed"))
        self.assertIn("Permission denied", self.said("peeked"))

    def test_nobody_else_gets_in(self) -> None:
        self.assertIn("permission denied", self.said("strange"))

    def test_anybody_may_look_at_what_is_published(self) -> None:
        self.assertIn("0.1.0-1", self.said("looked"))
        fingerprint = json.loads(self.said("key"))["fingerprint"]
        self.assertIn(fingerprint[-4:], self.said("looked"))

    def test_its_keys_are_its_own_and_what_it_publishes_is_everybodys(self) -> None:
        wanted = [
            "flocon-sign 700 /var/lib/flocon-sign",
            "flocon-sign 755 /var/lib/flocon-repository",
            "root 660 /run/flocon-sign/socket",
        ]
        self.assertEqual(self.said("folders").splitlines(), wanted)

    def test_it_has_a_network_of_its_own_which_is_none(self) -> None:
        self.assertEqual(self.said("networks"), "2")

    def test_it_ends_with_all_that_it_started_and_comes_again(self) -> None:
        self.assertEqual(self.said("left"), "")
        again = json.loads(self.said("again"))
        self.assertEqual([one["name"] for one in again["packages"]], ["flocon"])
        self.assertEqual(again["name"], "home")

    def test_it_has_nothing_to_complain_of(self) -> None:
        # But of what it refused.
        said = self.said("warnings").splitlines()
        self.assertEqual([line for line in said if "may not ask for this" not in line], [])

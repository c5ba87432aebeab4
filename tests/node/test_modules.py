"""What a node at rest has imported: each module is memory on every machine, all day."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

#: Imported when first needed, if at all; with the MB that each would take.
NOT_AT_REST = {
    "backports.zstd": 0.5,
    "compression.zstd": 0.5,
    "flocon.advice.doctor": 0.2,
    "flocon.advice.gathering": 0.3,
    "flocon.approving": 0.1,
    "flocon.aur": 0.2,
    "flocon.building": 0.3,
    "flocon.builds": 0.3,
    "flocon.carrying": 0.1,
    "flocon.cli": 0.5,
    "flocon.clients": 0.2,
    "flocon.databases.followed": 0.1,
    "flocon.faces.lan_own": 0.1,
    "flocon.jobs": 0.3,
    "flocon.joined": 0.3,
    "flocon.leading.plan": 0.2,
    "flocon.mdns": 0.3,
    "flocon.mirrors": 0.4,
    "flocon.node.building": 0.1,
    "flocon.node.joined": 0.1,
    "flocon.node.mirroring": 0.2,
    "flocon.node.standing_in": 0.1,
    "flocon.recipes": 0.3,
    "flocon.repository": 0.2,
    "flocon.signing": 0.2,
    "flocon.sites": 0.3,
    "flocon.snapshots": 0.3,
    "flocon.standins": 0.2,
    "flocon.states": 0.3,
    "flocon.terminal": 0.1,
    "flocon.upstream": 0.3,
    "flocon.wanted": 0.2,
    "hyperlink": 1.0,
    "jinja2": 4.0,
    "prometheus_client": 2.0,
    "rich": 2.0,
    "treq": 2.0,
    "twisted.plugins.twisted_core": 0.4,
    "twisted.spread.pb": 0.7,
    "twisted.trial": 1.5,
    "twisted.web.resource": 0.1,
    "twisted.web.server": 2.9,
    "twisted.web.util": 2.0,
    "xml.sax": 0.5,
    "zeroconf": 3.5,
}
#: Some 9 KB each before they hold anything; a few more are no reason to raise it.
MOST_MODULES = 275
#: Makes a node with its default endpoint for peers, tries its ports, and tells what was imported.
_PROGRAM = """
import sys
from flocon.node.service import Options, makeService
options = Options()
options.parseOptions(sys.argv[1:])
makeService(options)
print(*sys.modules)
own = [vars(module) for name, module in sys.modules.items() if name.startswith("flocon.")]
print(*{one for names in own for one in names if getattr(names[one], "_is_protocol", False)})
"""


class AtRest(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        config = folder / "flocon.toml"
        config.write_text("")
        arguments = ["--config", str(config), "--store", str(folder / "store")]
        arguments += ["--lan", "tcp6:0", "--loopback", "tcp:0:interface=127.0.0.1"]
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.modules, self.protocols = map(str.split, done.stdout.splitlines())

    def test_what_is_seldom_needed_is_not_imported(self) -> None:
        self.assertIn("flocon.node.parts", self.modules)
        self.assertEqual(NOT_AT_REST.keys() & self.modules, set())

    def test_what_only_a_type_checker_reads_is_not_there(self) -> None:
        self.assertEqual(set(self.protocols) - {"Protocol"}, set())

    def test_flocon_has_no_more_modules_than_it_needs(self) -> None:
        own = [name for name in self.modules if name.partition(".")[0] == "flocon"]
        self.assertLessEqual(len(own), MOST_MODULES)

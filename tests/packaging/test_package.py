"""The package: built by real makepkg, installed by real pacman into a root of its own."""

from __future__ import annotations

import functools
import gzip
import re
import shutil
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon import __version__
from tests.packaging.workshop import (
    PACKAGING,
    SITE,
    as_nobody,
    build,
    built,
    built_from,
    files_of,
    folder,
    need,
    need_package,
    package,
    pacman,
    succeed,
)

#: A path in a text, and what a document says lies beside it or in the clone.
_PATHS = re.compile(r"(?<![\w.~$/:-])/(?:usr|etc)/[\w./+-]*\w")
_DOCUMENTS = re.compile(
    r"(?:``|image:: )((?:[\w.-]+/)*[\w-]+\.(?:rst|md|toml|png|svg))(?:``|$)", re.MULTILINE
)
#: What other packages bring, and what flocon setup writes.
_OF_OTHERS = (
    *("/etc/pacman", "/etc/nftables.conf", "/usr/bin/twistd", "/usr/bin/python", "/etc/passwd"),
    "/etc/pacredir.conf",
    "/usr/share/doc/flocon/flocon.toml",
)


def install() -> Path:
    """Install the package into an empty root; its scriptlets would find nothing there."""
    need_package()
    root = folder()
    # The hooks that the package brings find no python in there, and pacman says so.
    pacman(root, "-U", "--nodeps", "--nodeps", "--noscriptlet", str(package()))
    return root


@functools.cache
def installed() -> Path:
    """Return a root that tests only look at."""
    return install()


class Installed(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = installed()

    def test_every_file_is_where_arch_has_it(self) -> None:
        listed = pacman(self.root, "-Ql", "--quiet", "flocon").split()
        files = {
            str(Path(path).relative_to(self.root)) for path in listed if not path.endswith("/")
        }
        python = {path for path in files if path.startswith(SITE)}
        manuals = {path.stem for path in (built_from() / "docs").glob("*.[1-8].rst")}
        others = {path.name for path in (built_from() / "docs").glob("*[!1-8].rst")}
        self.assertIn("flocon.1", manuals)
        self.assertEqual(
            files - python,
            {f"usr/share/man/man{name[-1]}/{name}.gz" for name in manuals}
            | {f"usr/share/doc/flocon/{name}" for name in others}
            | {
                "etc/flocon.toml",
                "etc/ufw/applications.d/flocon",
                "usr/bin/flocon",
                "usr/lib/firewalld/services/flocon.xml",
                "usr/lib/firewalld/services/flocon-mirror.xml",
                "usr/lib/firewalld/services/flocon-standins.xml",
                "usr/lib/systemd/system/flocon-build.service",
                "usr/lib/systemd/system/flocon-build.socket",
                "usr/lib/systemd/system/flocon-pacredir-lan.socket",
                "usr/lib/systemd/system/flocon-pacredir.socket",
                "usr/lib/systemd/system/flocon-pacserve.socket",
                "usr/lib/systemd/system/flocon-sign.service",
                "usr/lib/systemd/system/flocon-sign.socket",
                "usr/lib/systemd/system/flocon.service",
                "usr/lib/systemd/system/flocon.socket",
                "usr/lib/sysusers.d/flocon.conf",
                "usr/lib/tmpfiles.d/flocon.conf",
                "usr/share/bash-completion/completions/flocon",
                "usr/share/doc/flocon/CONTRIBUTING.rst",
                "usr/share/doc/flocon/NEWS.rst",
                "usr/share/doc/flocon/flocon-nas.toml",
                "usr/share/doc/flocon/ahead.svg",
                "usr/share/doc/flocon/performance.svg",
                "usr/share/doc/flocon/status-page.png",
                "usr/share/doc/flocon/README.rst",
                "usr/share/doc/flocon/SECURITY.rst",
                "usr/share/fish/vendor_completions.d/flocon.fish",
                "usr/share/flocon/grafana.json",
                "usr/share/flocon/nftables.conf",
                "usr/share/flocon/nftables-mirror.conf",
                "usr/share/flocon/nftables-standins.conf",
                "usr/share/libalpm/hooks/flocon-plugins.hook",
                "usr/share/libalpm/hooks/flocon-python.hook",
                "usr/share/licenses/flocon/LICENSE",
                "usr/share/zsh/site-functions/_flocon",
            },
        )

    def test_no_file_names_one_that_is_not_there(self) -> None:
        folders = [self.root / name for name in ("etc", "usr/lib/systemd", "usr/share")]
        named: dict[str, set[str]] = {}
        for path in [path for top in folders for path in top.rglob("*") if path.is_file()]:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="ignore")
            for name in _PATHS.findall(text.replace("\\-", "-")):
                named.setdefault(name.rstrip("./"), set()).add(path.name)
            for name in _DOCUMENTS.findall(text) if path.parent.name == "flocon" else ():
                named.setdefault(f"/usr/share/doc/flocon/{name}", set()).add(path.name)
        self.assertIn("/etc/flocon.toml", named)
        self.assertIn("/usr/share/doc/flocon/protocol.rst", named)
        missing = {
            name: files
            for name, files in named.items()
            if not (self.root / name[1:]).exists() and not name.startswith(_OF_OTHERS)
        }
        self.assertEqual(missing, {})

    def test_every_module_is_there_and_no_test(self) -> None:
        site = self.root / SITE
        source = built_from() / "flocon"
        modules = {str(path.relative_to(source)) for path in source.rglob("*.py")}
        installed = {
            str(path.relative_to(site / "flocon")) for path in (site / "flocon").rglob("*.py")
        }
        self.assertEqual(installed, modules)
        self.assertEqual(
            sorted(path.name for path in site.iterdir()),
            ["flocon", f"flocon-{__version__}.dist-info", "twisted"],
        )

    def test_twisteds_folder_gets_the_plugin_and_nothing_of_twisteds(self) -> None:
        files = {
            str(path.relative_to(self.root / SITE / "twisted"))
            for path in (self.root / SITE / "twisted").rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        self.assertEqual(files, {"plugins/flocon_plugin.py"})

    def test_all_is_roots_and_only_root_can_write_it(self) -> None:
        for line in pacman(self.root, "-Ql", "--quiet", "flocon").split():
            status = Path(line).stat()
            self.assertEqual((status.st_uid, status.st_gid), (0, 0), line)
            wanted = 0o755 if line.endswith(("/", "/usr/bin/flocon")) else 0o644
            self.assertEqual(status.st_mode & 0o7777, wanted, line)

    def test_pacman_finds_its_files_as_it_packed_them(self) -> None:
        self.assertIn("0 altered files", pacman(self.root, "-Qkk", "flocon"))

    def test_changed_settings_survive_an_upgrade_and_a_removal(self) -> None:
        root = install()
        settings = root / "etc/flocon.toml"
        settings.write_text("debug = true\n")
        pacman(root, "-U", "--nodeps", "--nodeps", "--noscriptlet", str(package()))
        self.assertEqual(settings.read_text(), "debug = true\n")
        pacman(root, "-R", "--noscriptlet", "flocon")
        self.assertFalse(settings.exists())
        self.assertEqual(settings.with_suffix(".toml.pacsave").read_text(), "debug = true\n")

    def test_the_installed_command_and_plugin_work(self) -> None:
        site = str(self.root / SITE)
        version = succeed(
            sys.executable, "-P", str(self.root / "usr/bin/flocon"), "--version", PYTHONPATH=site
        )
        self.assertEqual(version, f"flocon {__version__}\n")
        where = "import flocon.node.service, twisted.plugins.flocon_plugin as p; print(p.__file__)"
        self.assertIn(site, succeed(sys.executable, "-P", "-c", where, PYTHONPATH=site))

    def test_no_path_of_the_builder_is_left(self) -> None:
        builder = str(package().parent).encode()
        for path in self.root.joinpath("usr").rglob("*"):
            if path.is_file():
                self.assertNotIn(builder, path.read_bytes(), path)

    def test_the_user_is_made(self) -> None:
        need("systemd-sysusers", root=True)
        succeed("systemd-sysusers", f"--root={self.root}", "flocon.conf")
        lines = (self.root / "etc/passwd").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("flocon:")]
        home, shell = line.split(":")[5:]
        self.assertEqual(home, "/var/cache/flocon")
        self.assertTrue(shell.endswith("/nologin"), shell)


class Building(SynchronousTestCase):
    """``cd packaging && makepkg -sif`` in a clone, as an ordinary user."""

    def setUp(self) -> None:
        need("makepkg", "pacman", "fakeroot", "bsdtar", "zstd", "setpriv")
        need(modules=("build", "docutils", "installer", "setuptools", "wheel"))

    def test_it_leaves_in_the_clone_what_makepkg_does_and_git_ignores(self) -> None:
        inside = ("packaging/src/", "packaging/pkg/")
        new = {path for path in built().new if not path.startswith(inside)}
        self.assertEqual(new, {"packaging/src", "packaging/pkg", f"packaging/{package().name}"})
        ignored = (PACKAGING.parent / ".gitignore").read_text().splitlines()
        for line in ("/packaging/src/", "/packaging/pkg/", "/packaging/*.pkg.tar*"):
            self.assertIn(line, ignored)

    def test_it_has_root_install_the_package(self) -> None:
        self.assertTrue(built().line.startswith("cd packaging && makepkg -sif "))
        self.assertTrue(built().installed.startswith("/usr/bin/pacman "), built().installed)
        self.assertTrue(built().installed.endswith(f" -U {package()}\n"), built().installed)

    def test_a_second_run_is_as_good_as_the_first(self) -> None:
        self.assert_tree_is_whole(self.prepare({}))

    def test_after_a_pull_the_same_line_builds_and_installs_what_is_new(self) -> None:
        clone = folder() / "a clone"
        shutil.copytree(built_from(), clone, symlinks=True)
        news = clone / "NEWS.rst"
        news.write_text(news.read_text() + "\nWhat was pulled.\n")
        home = clone.parent / "home"
        home.mkdir()
        self.assertTrue(list((clone / "packaging").glob("*.pkg.tar.zst")))
        installed = build(clone, home)
        (file,) = (clone / "packaging").glob("*.pkg.tar.zst")
        self.assertTrue(installed.endswith(f" -U {file}\n"), installed)
        path = "usr/share/doc/flocon/NEWS.rst"
        self.assertIn("What was pulled.", succeed("bsdtar", "-xOf", str(file), path))

    def test_elsewhere_it_has_all_that_its_tests_need(self) -> None:
        place = folder() / "a place"
        place.mkdir()
        place.chmod(0o777)
        self.assert_tree_is_whole(self.prepare({"BUILDDIR": str(place)}))

    def prepare(self, places: dict[str, str]) -> Path:
        """Have makepkg make its tree once more; return it."""
        clone = built_from()
        line = "cd packaging && makepkg --nodeps --noconfirm --nobuild --noprogressbar"
        succeed(*as_nobody(clone), "sh", "-c", line, HOME=str(clone.parent / "home"), **places)
        building = Path(places["BUILDDIR"], "flocon") if places else clone / "packaging"
        return building / "src/flocon"

    def assert_tree_is_whole(self, tree: Path) -> None:
        """Claim that all that was there before is, apart from what is for nobody's build."""
        others = (".", "packaging/src", "packaging/pkg")
        before = files_of(built_from()) - built().new
        wanted = {path for path in before if not path.startswith(others)}
        there = files_of(tree)
        self.assertEqual(wanted - there, set())
        self.assertEqual(there - wanted, set())


class Description(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = (PACKAGING / "PKGBUILD").read_text()

    def test_the_version_is_flocons(self) -> None:
        match = re.search(r"^pkgver=(.*)$", self.text, re.MULTILINE)
        self.assertEqual(match and match[1], __version__)

    def test_every_requirement_is_a_dependency(self) -> None:
        setup = (PACKAGING.parent / "setup.cfg").read_text()
        block = setup.partition("install_requires =\n")[2].partition("\n\n")[0]
        wanted = {re.split(r"[\[<>=;]", line.strip())[0].lower() for line in block.splitlines()}
        # Arch's Python is 3.14 or later and has compression.zstd.
        wanted.discard("backports.zstd")
        # Arch calls two of them otherwise.
        wanted = {
            {"jinja2": "jinja", "prometheus-client": "prometheus_client"}.get(one, one)
            for one in wanted
        }
        match = re.search(r"^depends=\((.*?)\)", self.text, re.MULTILINE | re.DOTALL)
        depends = match[1].split() if match else []
        self.assertEqual({f"python-{name}" for name in wanted} - set(depends), set())
        self.assertIn("pacman", depends)
        self.assertIn("gnupg", depends)

"""Every command that README and the manuals tell of is run by a test: here is by which.

``RUN_BY`` is the register. A command that is told of and missing here fails, and so does an entry
that no text tells of any more, whose test is gone, or whose test does not mention the command.
"""

from __future__ import annotations

import importlib
import inspect
import re
import unittest
from dataclasses import dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.packaging import manuals


@dataclass(frozen=True, slots=True)
class Run:
    """The test that runs a command, and the helper or script in which its words stand, if any.

    ``as_run`` are the words where a test cannot run it literally; a comment says why.
    """

    test: str
    by: str = ""
    as_run: str = ""


_PACKAGING = "tests.packaging."


def first_use(name: str) -> Run:
    return Run(f"{_PACKAGING}test_first_use.FirstUse.test_{name}", "_SCRIPT")


def boot(name: str) -> Run:
    return Run(f"{_PACKAGING}test_boot.Running.test_{name}", "_SCRIPT")


def checkout(name: str, **more: str) -> Run:
    return Run(f"{_PACKAGING}test_checkout.{name}", **more)


def seen(name: str) -> Run:
    return Run(f"tests.states_on_lan.test_mirror_seen.MirrorSeen.test_{name}")


def snapshots(name: str) -> Run:
    return Run(f"tests.states_on_lan.test_snapshots.Snapshots.test_{name}")


_WANTED = "what_is_wanted_by_hand_comes_and_stays_until_it_is_not"
_STATES = "status_tells_the_state_and_refresh_brings_the_next"
_BACK = "the_state_goes_back_and_forward_by_command_and_stays_over_a_restart"
_OF_A_DAY = "the_state_of_a_day_comes_from_an_archive"
_INSTALLS = "pacman_installs_the_package_with_all_that_it_depends_on"
_SETS_UP = "setup_shows_the_change_makes_it_and_makes_it_once"
_UNDOES = "undo_leaves_the_configuration_as_it_was_to_the_byte"
_TELLS = "a_node_started_by_hand_tells_of_itself_and_all_is_well"
_TAKES = "pacman_takes_from_the_peer_what_the_peer_has"
_GETS = "get_fetches_from_the_peer_and_from_this_machine"
_CHANGES = "commands_and_signals_change_the_node"
_AHEAD = "an_upgrade_was_fetched_ahead"
_ONCE = "pacman_is_led_to_the_node_once_and_nothing_is_changed"
_ALONE = "without_the_node_pacman_goes_on_and_flocon_says_so"
_OPTIONS = "every_option_of_a_node_is_heeded"
_MAIN = "tests.cli.test_main."
_COMPLETION = "tests.cli.test_completion.Shells."

_CARRIED = "tests.states_on_lan.test_carried_state.CarriedTests.test_"
_INSTALLED = f"{_CARRIED}pacman_installs_from_the_exported_folder_with_the_network_gone"
_IMPORTED = f"{_CARRIED}imported_state_is_complete_and_used_on_a_lan_without_the_internet"
_CHECK = "tests.states_on_lan.test_state_check.CheckTests.test_"
_CHECKED = f"{_CHECK}complete_exactly_where_the_upgrade_ends_well"

_PLACE = "~/.local/share/flocon"
_FIREWALLS = f"{_PACKAGING}test_files.Firewalls."


def published(name: str, words: str) -> Run:
    """Return a test of ``flocon repo``, whose first words are its helper's."""
    return Run(f"tests.publishing.test_commands.CommandTests.test_{name}", as_run=words)


def joined(name: str, words: str = "", by: str = "") -> Run:
    return Run(f"tests.own_on_lan.test_joined.{name}", by, words)


def switched(name: str) -> Run:
    return Run(f"{_PACKAGING}test_boot_switching.Switching.test_{name}", "_SCRIPT")


def unlisted(name: str, words: str) -> Run:
    """Return a test of what is seen on a LAN; the word ``flocon`` is its helper's."""
    return Run(f"tests.interop_on_lan.test_seen.Unlisted.test_{name}", as_run=words)


def typed(name: str) -> Run:
    return Run(f"tests.own_on_lan.test_commands.Commands.test_{name}")


_FILLED = "from_nothing_to_a_repository_and_back"
_REPLACED = "a_key_is_replaced"
_BY_SSH = "packages_go_to_another_machine_by_ssh"
_TAKEN_THERE = (
    "tests.publishing.test_elsewhere.WordsTests.test_the_other_machine_runs_what_was_asked_for"
)
_THERE = Run(_TAKEN_THERE, as_run="--sudo")
_SIGNERS = Run(
    f"tests.publishing.test_commands.CommandTests.test_{_FILLED}", "flocon", "repo --signer"
)
_BESIDE = "the_node_stands_beside_it_and_then_in_its_place"
_IN_PLACE = "a_node_takes_a_proxys_place_and_what_lies_in_its_folder"
_GOES_BACK = "and_back"
_HELD = "systemd_holds_the_ports_in_other_tools_places_where_that_is_wanted"
_NEWEST = "newest_is_told_fetched_by_its_signature_alone_and_installed"
_LISTED = "all_that_is_held_is_listed_here_and_on_the_lan"
_TRUSTED = "TrustingTests.test_nothing_is_trusted_before_somebody_compared_the_key"
_ADDED = "recipes_are_added_shown_approved_and_held_and_all_is_noted"
_DECIDED = "what_is_new_waits_is_shown_and_decided_as_it_was_shown"

RUN_BY: dict[str, Run] = {
    # In a clone
    "make demo": checkout("Making.test_the_demo_proves_what_it_shows"),
    "make test": checkout("Making.test_the_tests_are_all_tests"),
    f"python -m venv {_PLACE} && {_PLACE}/bin/pip install .": checkout(
        "Installing.test_pip_installs_a_node_and_a_command_into_an_environment",
        as_run="python -m venv && bin/pip install .",
    ),
    # Only root installs: what makepkg asks of it is looked at here, and done in first use.
    "cd packaging && makepkg -sif": Run(
        f"{_PACKAGING}test_package.Building.test_it_has_root_install_the_package"
    ),
    # The package, from an empty root on
    "pacman -U": first_use(_INSTALLS),
    "flocon --help": first_use(_INSTALLS),
    "flocon --version": first_use(_INSTALLS),
    "twistd flocon --help": first_use(_INSTALLS),
    "flocon setup": first_use(_SETS_UP),
    "flocon setup --dry-run": first_use(_SETS_UP),
    "flocon setup --cache-server": first_use(_SETS_UP),
    "flocon setup --databases": first_use(_UNDOES),
    "flocon setup --undo": first_use(_UNDOES),
    "flocon setup --server": first_use(_OPTIONS),
    "flocon setup --port PORT": first_use(_OPTIONS),
    "flocon setup --pacman-conf FILE": first_use(_OPTIONS),
    "twistd -n --pidfile= flocon": first_use(_TELLS),
    "twistd flocon": first_use(_TELLS),
    "flocon peers": first_use(_TELLS),
    "flocon status": first_use(_TELLS),
    "flocon doctor": first_use(_TELLS),
    "curl localhost:19433/status.json": first_use(_TELLS),
    "flocon has NAME": first_use(_TAKES),
    "flocon has --contains NAME": first_use(_TAKES),
    "flocon why FILE": first_use(_TAKES),
    "flocon why NAME": first_use(_TAKES),
    "flocon watch": first_use(_TAKES),
    "pacman -Sy": first_use(_TAKES),
    "pacman -Syu": first_use(_TAKES),
    "flocon prefetch": first_use(_AHEAD),
    "flocon prefetch --no-wait": first_use(_AHEAD),
    "flocon get NAME": first_use(_GETS),
    "flocon get FILE": first_use(_GETS),
    "flocon ban PEER": first_use(_CHANGES),
    "flocon pardon PEER": first_use(_CHANGES),
    "flocon rejoin": first_use(_CHANGES),
    "kill -USR1 PID": first_use(_CHANGES),
    "kill -USR2 PID": first_use(_CHANGES),
    "flocon pacman ARGUMENT...": first_use(_ONCE),
    "flocon pacman -Syu": first_use(_ALONE),
    "flocon --port PORT": first_use(_OPTIONS),
    "flocon --json": first_use(_OPTIONS),
    "flocon doctor --pacman-conf FILE": first_use(_OPTIONS),
    "twistd flocon --config FILE": first_use(_OPTIONS),
    "twistd flocon --pacman-conf FILE": first_use(_OPTIONS),
    "twistd flocon --store DIR": first_use(_OPTIONS),
    "twistd flocon --interface NAME": first_use(_OPTIONS),
    "twistd flocon --lan ENDPOINT": first_use(_OPTIONS),
    "twistd flocon --loopback ENDPOINT": first_use(_OPTIONS),
    "twistd flocon --debug": first_use(_OPTIONS),
    "pacman -R flocon": first_use(_ALONE),
    # Firewalls of which no test's machine has one: the file is read that they find by this name.
    "ufw allow flocon": Run(f"{_FIREWALLS}test_ufw_opens_the_lan_port", as_run="ufw flocon"),
    "firewall-cmd --permanent --add-service=flocon && sudo firewall-cmd --reload": Run(
        f"{_FIREWALLS}test_firewalld_opens_the_lan_port", as_run="firewalld flocon"
    ),
    # Under systemd
    "systemctl kill -s USR1 flocon": boot("signals_reach_it_by_systemctl"),
    "systemctl kill -s USR2 flocon": boot("signals_reach_it_by_systemctl"),
    "systemctl enable --now flocon": boot("it_is_started_with_the_system"),
    "systemctl stop flocon.socket flocon": boot(
        "no_other_user_can_have_its_ports_while_it_is_down"
    ),
    "systemctl reset-failed flocon": boot("one_that_cannot_start_gives_up_before_pacman_does"),
    "systemctl edit flocon": boot("a_proxy_is_set_in_its_environment"),
    "systemctl edit flocon.socket": boot("the_ports_are_changed_in_both_places"),
    "systemctl restart flocon.socket flocon": boot("the_ports_are_changed_in_both_places"),
    "systemctl reload flocon": boot("a_reload_or_restart_ends_ready"),
    "systemctl restart flocon": boot("a_reload_or_restart_ends_ready"),
    "journalctl -u flocon": boot("the_journal_has_levels_and_fields"),
    # On a LAN, by a node that is a mirror for it
    "flocon mirror status": seen(_STATES),
    "flocon mirror refresh": seen(_STATES),
    "flocon mirror want NAME...": seen(_WANTED),
    "flocon mirror unwant NAME...": seen(_WANTED),
    "flocon mirror clean": seen(_WANTED),
    "flocon mirror clean --dry-run": seen(_WANTED),
    "flocon snapshot take": snapshots(_BACK),
    "flocon snapshot take --of STATE": snapshots(_BACK),
    "flocon snapshot take --date DAY": snapshots(_OF_A_DAY),
    "flocon snapshot list": snapshots(_BACK),
    "flocon snapshot diff STATE": snapshots(_BACK),
    "flocon snapshot use STATE...": snapshots(_BACK),
    "flocon snapshot use --longer": snapshots(_OF_A_DAY),
    "flocon snapshot use STATE... --longer": snapshots(_OF_A_DAY),
    "flocon snapshot drop NAME": snapshots(_BACK),
    "pacman -Syuu": snapshots(_OF_A_DAY),
    # As processes, where neither package nor node is needed
    "flocon -V": Run(f"{_MAIN}Words.test_the_version_is_told_by_both_names"),
    "flocon config": Run(f"{_MAIN}Settings.test_they_are_printed_and_checked_without_a_node"),
    "flocon config --json": Run(
        f"{_MAIN}Settings.test_they_are_printed_and_checked_without_a_node"
    ),
    "flocon config --config FILE": Run(
        f"{_MAIN}Settings.test_they_are_printed_and_checked_without_a_node"
    ),
    # A mirror for the whole LAN, on a LAN
    "flocon snapshot check": Run(_IMPORTED),
    "flocon snapshot check --machine": Run(_CHECKED, "_check"),
    "flocon snapshot check --pacman-conf FILE": Run(_CHECKED, "_check"),
    # All words but this are the helper's.
    "flocon snapshot check --downgrade": Run(_CHECKED, as_run="--downgrade"),
    "flocon snapshot check --architecture ARCH": Run(_INSTALLED, "export"),
    "flocon snapshot export DIR": Run(_INSTALLED, "export"),
    "flocon snapshot export DIR --architecture ARCH": Run(_INSTALLED, "export"),
    "flocon snapshot export --architecture ARCH": Run(_INSTALLED, "export"),
    "flocon snapshot import DIR": Run(_IMPORTED),
    "flocon snapshot import DIR --name NAME": Run(_IMPORTED),
    "flocon snapshot import --name NAME": Run(_IMPORTED),
    # The folder's configuration comes before it.
    "pacman -S": Run(_INSTALLED, as_run="pacman -Sy"),
    # With the databases that the folder has by now.
    "pacman -Su": Run(_CHECKED, as_run="-Syu"),
    "pacman -Suu": Run(_CHECKED, as_run="-Syuu"),
    # An own repository. The words before these are the helper's.
    "flocon repo init NAME": published(_FILLED, "init"),
    "flocon repo init NAME --to HOST": published(_BY_SSH, "init --to"),
    "flocon repo init --to HOST": published(_BY_SSH, "init --to"),
    "flocon repo init NAME --sudo": _THERE,
    "flocon repo init --sudo": _THERE,
    "flocon repo init NAME --signer PATH": _SIGNERS,
    "flocon repo init --signer PATH": _SIGNERS,
    "flocon repo key": published(_FILLED, "key"),
    "flocon repo key --replace": published(_REPLACED, "key --replace"),
    "flocon repo key --switch": published(_REPLACED, "key --switch"),
    "flocon repo key --repository NAME": Run(
        "tests.publishing.test_elsewhere.WordsTests.test_the_other_machine_runs_what_was_asked_for",
        as_run="--repository",
    ),
    "flocon repo add FILE...": published(_FILLED, "add"),
    "flocon repo add FILE... --yes": published(_FILLED, "add --yes"),
    "flocon repo add --yes": published(_FILLED, "add --yes"),
    "flocon repo add FILE... --to HOST": published(_BY_SSH, "add --to"),
    "flocon repo add --stdin": Run(
        "tests.publishing.test_elsewhere.WordsTests.test_the_other_machine_runs_what_was_asked_for",
        as_run="add --stdin",
    ),
    "flocon repo remove PACKAGE...": published(_FILLED, "remove"),
    "flocon repo list": published(_FILLED, "list"),
    "flocon repo rollback PACKAGE": published(_FILLED, "rollback"),
    "flocon repo add --repository NAME": Run(_TAKEN_THERE, as_run="add --repository"),
    "flocon repo add FILE... --repository NAME": Run(_TAKEN_THERE, as_run="add --repository"),
    "flocon repo join NAME": joined(_TRUSTED, "repo join home", "join"),
    "flocon repo join NAME --fingerprint FPR": joined(_TRUSTED, "--fingerprint"),
    "flocon repo join --fingerprint FPR": joined(_TRUSTED, "--fingerprint"),
    "flocon repo join NAME --undo": joined(_TRUSTED, "--undo"),
    "flocon repo join --undo": joined(_TRUSTED, "--undo"),
    "flocon repo join NAME --dry-run": joined(_TRUSTED, "--dry-run"),
    "flocon repo join --dry-run": joined(_TRUSTED, "--dry-run"),
    "flocon repo join NAME --pacman-conf FILE": joined(_TRUSTED, "repo --pacman-conf", "join"),
    "flocon repo join --pacman-conf FILE": joined(_TRUSTED, "repo --pacman-conf", "join"),
    "flocon repo join NAME --config FILE": joined(_TRUSTED, "repo --config", "join"),
    "flocon repo join --config FILE": joined(_TRUSTED, "repo --config", "join"),
    # Both sockets are what the units say; nothing is started by systemd here.
    "systemctl enable --now flocon-sign.socket flocon-build.socket": Run(
        f"{_PACKAGING}test_files.SignersUnit.test_its_socket_is_where_the_settings_say",
        as_run="flocon-sign.socket",
    ),
    # Builds
    "flocon build add NAME": typed(_ADDED),
    "flocon build add FOLDER": typed("a_folder_is_handed_over_and_again_when_it_was_changed"),
    "flocon build add GITURL...": typed("a_repository_of_git_is_read_as_the_aurs_are"),
    "flocon build status": typed(_ADDED),
    "flocon build check": typed(_DECIDED),
    "flocon build log NAME": typed(_DECIDED),
    "flocon build log NAME --follow": typed(_DECIDED),
    "flocon build diff NAME": typed(_DECIDED),
    "flocon build approve NAME": typed(_DECIDED),
    "flocon build approve NAME@COMMIT --yes": typed(_DECIDED),
    "flocon build approve --yes": typed(_DECIDED),
    "flocon build reject NAME": typed(_DECIDED),
    "flocon build reject NAME@COMMIT --yes": typed(_DECIDED),
    "flocon build reject --yes": typed(_DECIDED),
    "flocon build hold NAME": typed(_ADDED),
    "flocon build hold NAME --off": typed(_ADDED),
    "flocon build hold --off": typed(_ADDED),
    "flocon build rebuild NAME": typed(_ADDED),
    "flocon build cancel NAME": typed(_ADDED),
    "flocon build remove NAME": typed(_ADDED),
    "flocon build history": typed(_ADDED),
    "flocon build web": typed("by_a_link_one_browser_decides"),
    "makepkg --printsrcinfo": Run(
        "tests.aur.test_standin.Recipes.test_a_recipes_srcinfo_is_makepkgs", "printed"
    ),
    # Of the whole LAN, and beyond what is listed
    "flocon list": unlisted(_LISTED, "list"),
    "flocon list --remote": unlisted(_LISTED, "list --remote"),
    "flocon has NAME...": unlisted(_NEWEST, "has --newest"),
    "flocon has --contains NAME...": first_use(_TAKES),
    "flocon has --newest NAME": unlisted(_NEWEST, "has --newest"),
    "flocon has --newest NAME...": unlisted(_NEWEST, "has --newest"),
    "flocon get --newest NAME": Run(
        f"tests.interop_on_lan.test_seen.Unlisted.test_{_NEWEST}", "get", "get --newest"
    ),
    "flocon get --newest --pacman-conf FILE NAME": Run(
        f"tests.interop_on_lan.test_seen.Unlisted.test_{_NEWEST}", "get", "get --pacman-conf"
    ),
    "flocon get --pacman-conf FILE": Run(
        f"tests.interop_on_lan.test_seen.Unlisted.test_{_NEWEST}", "get", "get --pacman-conf"
    ),
    # Changing over from another tool, and back
    "systemctl disable --now flocon.socket flocon": switched(_GOES_BACK),
    "systemctl disable --now pacredir pacserve": switched(_BESIDE),
    "systemctl enable --now flocon-pacredir.socket flocon": switched(_HELD),
    "systemctl enable --now flocon-pacserve.socket flocon": switched(_HELD),
    "systemctl stop flocon": switched(_HELD),
    "systemctl disable --now flocon-pacredir.socket": switched(_HELD),
    "systemctl disable --now flocon-pacserve.socket": switched(_HELD),
    "systemctl enable --now pacredir pacserve": switched(_GOES_BACK),
    "systemctl disable --now pacserve": switched(_IN_PLACE),
    "systemctl enable --now pacserve": switched(_IN_PLACE),
    "systemctl disable --now pacoloco": switched(_IN_PLACE),
    "systemctl disable --now flexo": switched(_IN_PLACE),
    "systemctl disable --now cpcache": switched(_IN_PLACE),
    "systemctl disable --now pkgstash": switched(_IN_PLACE),
    # In each shell
    "flocon completion bash": Run(
        f"{_COMPLETION}test_bash_completes_commands_options_and_choices", "complete"
    ),
    "flocon completion zsh": Run(f"{_COMPLETION}test_zsh_reads_it"),
    "flocon completion fish": Run(f"{_COMPLETION}test_fish_completes_commands_options_and_choices"),
}


class EveryCommand(SynchronousTestCase):
    def test_each_command_that_is_told_of_has_a_test_that_runs_it(self) -> None:
        told = manuals.told()
        missing = {one: sorted(names) for one, names in told.items() if one not in RUN_BY}
        self.assertEqual(missing, {}, "enter it, with the test that runs it")
        self.assertEqual(set(RUN_BY) - set(told), set(), "no text tells of it")

    def test_each_of_these_tests_is_there_and_mentions_the_command(self) -> None:
        for command, run in RUN_BY.items():
            module, case, name = _find(run.test)
            self.assertTrue(name.startswith("test_"), run.test)
            method = getattr(case, name)
            source = inspect.getsource(method)
            if isinstance(script := getattr(module, run.by or "-", None), str):
                self.assert_in_script(command, script, source)
                continue
            if run.by:
                # The helper is used by the test, or by what it uses in its module.
                short = run.by.rpartition(".")[2]
                self.assertRegex(inspect.getsource(module), rf"\b{short}\(", command)
                source = inspect.getsource(_helper(case, run.by))
            for word in _words(run.as_run or command):
                self.assertRegex(source, rf"(?<![\w-]){re.escape(word)}(?![\w-])", command)

    def assert_in_script(self, command: str, script: str, source: str) -> None:
        """Claim that a script runs it, and that the test looks at what it said, if that is kept."""
        lines = [line for line in _lines(script) if _pattern(command).search(line)]
        self.assertTrue(lines, f"no line runs {command}")
        kept = [match[1] for line in lines if (match := re.match(r"try (\S+) ", line))]
        if len(kept) == len(lines):
            self.assertTrue(any(f'"{name}"' in source for name in kept), (command, kept))


class Finding(SynchronousTestCase):
    """What the register relies on: commands are found wherever they stand."""

    def find(self, text: str, name: str = "x.1.rst") -> set[str]:
        return set(manuals.commands(text, name))

    def test_in_literal_blocks_without_comments_and_settings(self) -> None:
        text = "1. Do::\n\n       rm -rf x   # all of it\n       [core]\n       a = b\n\n   then\n"
        self.assertEqual(self.find(text), {"rm -rf x"})

    def test_in_literals_and_in_bold(self) -> None:
        text = "Use ``flocon\nfoo`` or **pacman -X**; ``peer ADDRESS`` is none, nor **flocon**.\n"
        self.assertEqual(self.find(text), {"flocon foo", "pacman -X"})

    def test_in_each_form_of_a_synopsis(self) -> None:
        text = "| **flocon** [**--port** *PORT*] **a**\\ \\|\\ **b** [**--c** | **--d**] *X*...\n"
        wanted = {"flocon a X...", "flocon b X..."}
        wanted |= {f"flocon {a} {c} X..." for a in "ab" for c in ("--c", "--d")}
        self.assertEqual(self.find(text), wanted)

    def test_in_options_below_the_command_they_are_for(self) -> None:
        text = "--all X\n    Y\n\nflocon foo\n----------\n\n--a, --b FILE\n    C\n"
        wanted = {"flocon --all X", "flocon foo --a FILE", "flocon foo --b FILE"}
        self.assertEqual(self.find(text), wanted)
        self.assertEqual(self.find("--a X\n    Y\n", "x.8.rst"), {"twistd flocon --a X"})


def _find(name: str) -> tuple[Any, Any, str]:
    """Return the module, the test case and the name of a test; fails where one is not there."""
    path, case, method = name.rsplit(".", 2)
    module = importlib.import_module(path)
    found = getattr(module, case)
    if not issubclass(found, unittest.TestCase):
        raise TypeError(name)
    return module, found, method


def _helper(case: Any, name: str) -> Any:
    if "." not in name:
        return getattr(case, name)
    path, _, function = name.rpartition(".")
    return inspect.unwrap(getattr(importlib.import_module(path), function))


def _lines(script: str) -> list[str]:
    """Return the lines of a shell script, continued ones as one."""
    return re.sub(r"\s*\\\n\s*", " ", script).splitlines()


def _words(command: str) -> list[str]:
    """Return the words that are not placeholders, the program flocon's own name apart."""
    words = [word for word in command.split() if not word.isupper() or word.startswith("-")]
    return words[1:] if words[0] == "flocon" else words


def _pattern(command: str) -> re.Pattern[str]:
    """Match the command with its placeholders filled in, and perhaps more words in between."""
    parts = [
        r"[^\s-]\S*" if re.fullmatch(r"[A-Z]+(\.\.\.)?", word) else re.escape(word)
        for word in command.split()
    ]
    between = r"(?: \S+)*? "
    return re.compile(rf"(?:^|\s){between.join(parts)}(?:\s|$)")

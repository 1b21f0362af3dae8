"""Lists the files of a model folder in SHA256SUMS, for `diffused models verify` and `sha256sum --check`.

    python models/manifest.py FOLDER

The same list as that of `diffused models verify NAME --write`: sorted by name, without itself and without what is hidden in
the folder.
"""
import hashlib
import os
import pathlib
import sys

NAME = "SHA256SUMS"


def digest(file):
    with open(file, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def write(folder):
    """Makes the list from the files as they are now."""
    files = {path.relative_to(folder).as_posix(): path for path in pathlib.Path(folder).rglob("*") if path.is_file()}
    listed = sorted(name for name in files if name != NAME and not name.startswith("."))
    draft = folder / f".{NAME}.part"
    with open(draft, "w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{digest(files[name])}  {name}\n" for name in listed)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(folder / NAME)


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))

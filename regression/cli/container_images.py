#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""container_images.py FOLDER: makes container images of /bin/busybox there, good ones and hostile ones, for container_images.sh."""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

root = sys.argv[1]


def layer(*entries, squeeze=True):
    """Each: (name, contents or None for a directory, attributes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, contents, *more in entries:
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = (0o755, 1000000000) if contents is None else (0o644, 1000000000)
            info.type = tarfile.DIRTYPE if contents is None else tarfile.REGTYPE
            for key, value in (more[0] if more else {}).items():
                setattr(info, key, value)
            contents = contents or b""
            if info.type == tarfile.REGTYPE and not (more and "size" in more[0]):
                info.size = len(contents)
            tar.addfile(info)
            if info.type == tarfile.REGTYPE:
                out.write(contents + bytes(-len(contents) % 512))
                tar.offset += len(contents) + -len(contents) % 512
    data = out.getvalue()
    return data, gzip.compress(data, 1, mtime=0) if squeeze else data


def link(name, target, kind=tarfile.SYMTYPE):
    return (name, b"", {"type": kind, "linkname": target})


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def config_of(layers, **config):
    return json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                       "rootfs": {"type": "layers", "diff_ids": [digest(plain) for plain, _ in layers]}}).encode()


def oci(name, layers, tag="latest", config=None, edit=None, machine="amd64", **keys):
    """edit: of the parts, by their digests, before they are written."""
    os.makedirs(f"{root}/{name}/blobs/sha256")
    blobs = {}

    def put(data, kind):
        blobs[digest(data)] = data
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest(data), "size": len(data)}

    manifest = {"schemaVersion": 2, "config": put(config or config_of(layers, **keys), "config.v1+json"),
                "layers": [put(packed, "layer.v1.tar+gzip") for _, packed in layers]}
    entry = put(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    entry["platform"] = {"architecture": machine, "os": "linux"}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    if edit:
        index = edit(blobs, manifest, entry, index) or index
    for key, data in blobs.items():
        open(f"{root}/{name}/blobs/sha256/{key.split(':')[1]}", "wb").write(data)
    open(f"{root}/{name}/index.json", "wb").write(index)
    open(f"{root}/{name}/oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')


busybox = open("/bin/busybox", "rb").read()
shell = [("bin", None), ("bin/busybox", busybox, {"mode": 0o755})] + [
    link("bin/" + name, "busybox") for name in ["sh", "cat", "ls", "id", "pwd", "env", "stat", "readlink", "find", "sort"]]
base = layer(*shell, ("etc", None), ("etc/passwd", b"root:x:0:0::/root:/bin/sh\nwww:x:33:44::/srv:/bin/sh\n"),
             ("etc/group", b"root:x:0:\nweb:x:55:\n"), ("gone", b"gone"), ("kept", b"kept\n"), ("old", None), ("old/a", b"a"), ("old/b", b"b"),
             ("opaque", None), ("opaque/a", b"a"), ("dir", None), ("dir/x", b"x"), ("file", b"file"), ("tmp", None, {"mode": 0o1777}),
             ("owned", b"", {"uid": 33, "gid": 44, "mode": 0o4755}), link("up", "../../../kept"))
second = layer((".wh.gone", b""), ("old/.wh.a", b""), ("opaque/.wh..wh..opq", b""), ("opaque/new", b"new\n"), ("dir", b"now a file\n"),
               ("file", None), ("file/y", b"y\n"), ("./kept2", b"two\n"), link("hard", "kept2", tarfile.LNKTYPE), link("alias", "old"),
               ("alias/through", b"through\n"), ("/absolute", b"absolute\n"), ("long/" + "d" * 200 + "/" + "f" * 200, b"long\n"),
               ("sn\u00f6w", b"snow\n"))

oci("good", [base, second], Entrypoint=["/bin/sh", "-c"], Cmd=['echo "$A $PWD $HOME"; id -u'], Env=["A=b c", "PATH=/bin"], WorkingDir="/work/dir", User="www:web")
oci("plain", [layer(*shell, squeeze=False)], Cmd=["sh", "-c", "echo plain $0"], Env=["PATH=/bin"])
oci("arm", [base], machine="arm64")
oci("empty", [layer(("x", None))])

# An archive as docker makes it; one layer is a symlink to another, as old versions do.
layers = [layer(*shell, squeeze=False), layer(("kept", b"docker\n"), squeeze=False)]
config = config_of(layers, Cmd=["/bin/cat", "/kept"])


def docker(name, layers, config):
    with tarfile.open(f"{root}/{name}", "w") as tar:
        def put(member, data):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for i, (_, packed) in enumerate(layers):
            put(f"l{i}/layer.tar", packed)
        put("config.json", config)
        put("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["some/name:one"],
                                          "Layers": [f"l{i}/layer.tar" for i in range(len(layers))]}]).encode())


docker("docker.tar", layers, config)
docker("docker-other.tar", [layers[0], layer(("kept", b"evil\n"), squeeze=False)], config)
docker("docker-packed-other.tar", [layers[0], layer(("kept", b"evil\n"))], config)
# The config of another image with layers of its own: never taken for it.
own = layer(*shell), layer(("kept", b"good\n"))
same_config = config_of(own, Cmd=["/bin/cat", "/kept"])
oci("poison", [own[0], layer(("kept", b"evil\n"))], config=same_config)
oci("poisoned", list(own), config=same_config)


def hostile(name, *entries, **keys):
    oci("bad-" + name, [layer(*shell), layer(*entries)], Cmd=["/bin/sh", "-c", "cat /probe /x/probe /etc/probe 2>/dev/null; find / -name probe | sort"], **keys)


hostile("dots", ("../../probe", b"in\n"), ("x/../../probe2", b"in\n"))
hostile("symlink", link("x", root + "/outside"), ("x/probe", b"in\n"))
hostile("symlink-up", link("x", "../../../../../../../.." + root + "/outside"), ("x/probe", b"in\n"))
hostile("circle", link("x", "y"), link("y", "x"), ("x/probe", b"in\n"))
hostile("device", ("probe", b"", {"type": tarfile.BLKTYPE, "devmajor": 8}), ("dev", None), ("dev/sda", b"", {"type": tarfile.BLKTYPE, "devmajor": 8}),
        ("fifo", b"", {"type": tarfile.FIFOTYPE}))
hostile("hard-outside", link("probe", root + "/outside/secret", tarfile.LNKTYPE))
hostile("hard-self", link("probe", "probe", tarfile.LNKTYPE))
hostile("hard-directory", ("d", None), link("probe", "d", tarfile.LNKTYPE))
hostile("below-file", ("probe", b"in\n"), ("probe/x", b"x"))
hostile("long-name", ("n" * 300, b"x"))
hostile("deep", ("d/" * 300 + "x", b"x"))
hostile("size", ("probe", b"in\n", {"size": 1 << 62}))
hostile("negative", ("probe", b"in\n", {"mtime": -5}))
hostile("environment", ("probe", b"in\n"), Env=["A=\n[[mounts]]\nat = '/x'\nfrom = '/'", "=x", "x", "B=\"\\", "C\n=d"])
hostile("user", ("probe", b"in\n"), User="nobody-known")
hostile("directory", ("probe", b"in\n"), WorkingDir="/../../x")
hostile("root-file", (".", b"x"), ("probe", b"in\n"))


def truncate(blobs, manifest, entry, index):
    del index
    key = manifest["layers"][1]["digest"]
    blobs[key] = blobs[key][: len(blobs[key]) // 2]


def swap(blobs, manifest, entry, index):
    del index
    key = manifest["layers"][1]["digest"]
    blobs[key] = blobs[key][:-1] + bytes([blobs[key][-1] ^ 1])


def relink(blobs, manifest, data):
    """Makes the manifest anew around a layer of these bytes."""
    blobs[digest(data)] = data
    manifest["layers"][1]["digest"] = digest(data)
    text = json.dumps(manifest).encode()
    blobs[digest(text)] = text
    return json.dumps({"manifests": [{"digest": digest(text)}]}).encode()


pair = [layer(*shell), layer(("probe", os.urandom(100000)))]
oci("bad-truncated", pair, edit=truncate)
oci("bad-digest", pair, edit=swap)
oci("bad-cut-gzip", pair, edit=lambda blobs, manifest, entry, index: relink(blobs, manifest, pair[1][1][:5000]))
oci("bad-noise", pair, edit=lambda blobs, manifest, entry, index: relink(blobs, manifest, os.urandom(5000)))
oci("bad-bomb", pair, edit=lambda blobs, manifest, entry, index: relink(blobs, manifest, gzip.compress(bytes(1 << 20)) * 40))
oci("bad-missing", pair, edit=lambda blobs, manifest, entry, index: blobs.pop(manifest["layers"][1]["digest"]) and None)
oci("bad-path", pair, edit=lambda *_: json.dumps({"manifests": [{"digest": "sha256:../../../../../../etc/passwd"}]}).encode())
oci("bad-json", pair, edit=lambda *_: b'{"manifests": [' + b"[" * 100000)
oci("bad-type", pair, edit=lambda *_: b'{"manifests": "x"}')
oci("bad-nul", pair, edit=lambda *_: b'{"manifests": [{"digest": "sha256:\\u0000"}]}')

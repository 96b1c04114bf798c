# SPDX-License-Identifier: MIT
# A real tree under version control, in a fresh home.
export HOME=/tmp/pal-case-git GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_PAGER=cat
rm -rf $HOME && mkdir $HOME && cd $HOME || exit 1
git init -q -b main repo && cd repo || exit 1
mkdir licenses && cp /usr/share/common-licenses/* licenses/ && cp -r /usr/share/doc/bash .
git add . && git commit -qm first && git log --stat --oneline | tail -5
echo change >>licenses/GPL-3 && git status --short && git diff | head -5
git commit -qam second && git log --format='%h %s %T'
git checkout -q -b side HEAD~1 && echo side >side && git add side && git commit -qm side
git checkout -q main && git merge -q --no-edit side -m merge && git log --graph --oneline
git gc -q && git fsck --full --strict && git rev-parse HEAD && git count-objects -v | grep -v size
git grep -c warranty | head -3; git clone -q . ../copy && git -C ../copy log --oneline | wc -l
cd / && rm -rf $HOME

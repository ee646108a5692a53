// Package fs shows an account's files to the kernel: FUSE on one side, the engine (package writeback) and its inode
// table (package writeback/tree) on the other. It knows what POSIX expects, and nothing of MEGA's protocol.
//
//	s, err := fs.Mount("/mnt/mega", fs.Options{Engine: engine, UID: uid, GID: gid, Umask: 0o022})
//	...
//	s.Wait()    // until somebody unmounts it
//
// # Numbers instead of objects
//
// It implements go-fuse's raw interface, where a file is a number. That number is the inode's number in the table,
// which is for life: through renames, new versions, and the moment when a new file first gets a handle in the cloud.
// The one exception is the mounted folder, which the kernel calls 1 whatever its number (node.go). So nothing here
// grows with what the kernel has cached: after a find over a million files, what is in memory is an entry for each open
// handle and the table's bounded caches. The kernel's lookup counts aren't counted either. Only the rows of removed
// inodes wait for the kernel to forget them, and the engine keeps that account (Engine.Attach, Forget, Detach).
//
// # The kernel caches, and is told
//
// Names, absent names, attributes, listings and pages may stay in the kernel for a day, so that warm work never reaches
// this process. That is right only because every change that this kernel didn't make itself is made known to it. The
// rule (notify.go): commit the tree, release every lock, then notify, from goroutines that are neither a request nor
// the event loop. A notify may wait in the kernel for a request that is being answered; anything that such a request
// could need must not wait for the notify.
//
//	a change in a folder      EntryNotify(dir, name), then InodeNotify(dir, 0, 0)
//	a file's attributes       InodeNotify(ino, -1, 0)
//	a closed file's content   InodeNotify(ino, 0, 0)
//	an open file's content    never: its handles keep the version they opened, the *name* gets a new inode
//	a removed inode           InodeNotify(ino, -1, 0), whose ENOENT says that the kernel doesn't know it
//
// An OPEN that meets another version than the last one waits until the kernel has been told of it (at most 2 s): with the
// old length it would show the new bytes cut, or filled up with zeros.
//
// ENOENT from a notify is normal. Changes carry an origin (tree.WithOrigin); what this mount's own requests did isn't
// told to it. Programs that watch with inotify aren't woken by remote changes; FUSE has no way for that.
//
// While the first tree of a new state is still coming, what has come is shown with timeouts of 0. What would be wrong
// when decided on half a tree (a name that isn't found, a creation, a removal, a rename) waits for the rest.
//
// # What the kernel is told at the start
//
// Each of these was tried (Linux 6.18, go-fuse 2.12.1); see mount.go:
//
//   - ExplicitDataCacheControl, or each change of mtime, our own writes' too, drops all pages of a file.
//   - CAP_READDIRPLUS_AUTO: listings with attributes when something asks for them, plain ones else.
//   - FOPEN_CACHE_DIR with FOPEN_KEEP_CACHE in OPENDIR's answer, or listings aren't kept.
//   - A name that isn't there is answered OK with node id 0 and a timeout; ENOENT would not be cached.
//   - MaxWrite of 1 MiB. CAP_HANDLE_KILLPRIV_V2, which spares a question for security.capability before each write; it
//     promises that set-id bits are dropped, and none is ever shown.
//   - default_permissions: the kernel checks modes and owner, ACCESS never comes. nosuid and nodev, always.
//
// # The hidden folder
//
// What has no row in the tree (.mega in the mounted folder, and what is below it but bin, vault and shares) has numbers
// from 2^62 up, made so that the number alone says what it is (hidden.go). Type front answers for those, and passes
// everything else on.
//
// # Requests, contexts, interrupts
//
// Each request has a context (context.go) that ends with the mount, or 2 s after the kernel interrupts the request:
// signals are normal, and data that is nearly there should still be delivered. It costs a goroutine only where
// something waits. close(2) can't be interrupted. What the engine has committed is answered as done.
//
// Errors become an errno in one table (errno.go). A handler that panics answers EIO, and the mount goes on.
//
// # Traps
//
// This process must never touch its own mount: two threads, one deadlock. In tests, a memory map of a mounted file has
// to live in another process, since a page fault stops the thread and with it, sooner or later, Go's scheduler.
//
// O_TRUNC arrives as OPEN followed by SETATTR of size 0 without a handle. WRITE comes after FLUSH, until RELEASE, from
// memory maps and from descriptors that were dup'ed. FUSE lets names of 1024 bytes through; POSIX says 255. A listing's
// cookie must be good in a handle that never gave it (dir.go says why). An attribute that is *listed* is one that cp -a
// tries to copy (xattr.go).
package fs

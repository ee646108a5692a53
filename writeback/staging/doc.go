// Package staging keeps the bytes that were written here and are not yet in
// the cloud, encrypted, on the disk.
//
// # The idea
//
// A Store is a folder of segment files. What is written is sealed (AES-256-GCM)
// and appended to the current segment as a record of at most 128 KiB; nothing
// is ever overwritten in place, and after a restart no old segment is appended
// to. Where a file's bytes are is told by Extents; a Map, a pure value, lays
// the later ones over the earlier ones. The caller stores the extents in its
// database; the Store holds no index of its own.
//
//	es, err := store.Append(owner, off, p) // sealed, written, retained
//	dropped := m.Insert(es...)             // hidden by it
//	...commit m.DirtyRegions() to the database, m.ClearDirty()...
//	store.Release(dropped...)              // only now
//
// # Whose is what: references
//
// A segment is unlinked when nothing refers to any of its records. References
// are counted in *bytes* of a record: an extent of Len bytes is Len
// references. Cutting an extent, splitting it in two or joining two again
// therefore changes no count, and Insert, Truncate, Punch and Remove return
// exactly what is to be released. The rules:
//
//  1. Append's extents come retained. Don't retain them again; the Map that
//     they are inserted into takes the reference over.
//  2. What a Map drops is released after the transaction that stores the Map
//     without it has committed, never before: the row that is still in the
//     database names it, and a crash brings that row back. If that commit
//     isn't synced, a power loss brings the older row back as well, so set
//     Options.Barrier to the sync of the database: it is called before
//     anything is unlinked, once for many.
//  3. A second Map over the same bytes (Map.Clone, a frozen generation)
//     retains its own: Retain(clone.Extents()...), and releases them at its
//     end.
//  4. After Open, retain all extents that are in the database, then call
//     Started: what nothing retained goes.
//
// Counting too much keeps a file too long, until the next start. Releasing
// more than was retained is an error of the caller; it is logged, and the
// segment stays until the next start.
//
// One live record keeps its whole segment. Wasteful tells which segments are
// mostly dead; a Mover stores what is live in them anew, Map.Swap lets a map
// take its bytes from there, and rule 2 holds for what that drops. Sync before
// the rows name the copies: the originals may have been synced long ago.
//
// # What holds when
//
//   - Append has returned: every reader sees it; kill -9 doesn't lose it.
//   - Sync, begun after that, has returned: power loss doesn't lose it. The
//     extents' rows belong into the database after that.
//   - After a power loss without Sync a record may be torn or missing. Whoever
//     reads it gets a *CorruptError; all others are as they were. Verify tells
//     before an upload.
//   - Append fails (a full disk): nothing is referenced, all earlier data is
//     intact, and errors.Is tells the cause. Nothing is allocated ahead: the
//     filesystem reserves a write's space when it takes it, so a full disk shows
//     in Append and not later.
//   - A sync failed: it isn't forgotten, see Sync.
//   - ReadAt never returns bytes other than those that were written.
//
// # Secrets
//
// Each segment has a random key, which stands in its header, wrapped by (a key
// derived from) Options.Key. A record's nonce is its position, and a position
// is given out once, even if the write that it was meant for failed. A record
// holds, sealed, also its Owner, so that Salvage can save everything with the
// folder and the key alone. FORMAT.md draws it.
//
// # Traps
//
// One store a folder at a time; whoever opens the database beside it sees to
// that. Started after a database was lost would unlink all that is staged: with
// a new database and Segments() not empty, don't call it, and offer Salvage.
// A Map isn't safe for concurrent use; its owner locks it, and copies it with
// Clone. An Extent that
// nobody retained may be gone at any time. Segments are closed and reopened
// as needed, so the store may hold more of them than a process may have open
// files.
package staging

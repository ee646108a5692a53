// Package cache is the content of cloud files: memory over disk over the network. It knows keys, bytes
// and how to ask for them, and nothing of folders, names, the MEGA protocol or the kernel.
//
// # How a read goes
//
//	Reader.ReadAt
//	    │ unit in memory?  ── copy; or lend it (Reader.Lend), and nothing is copied
//	    │ unit on disk?    ── read, compare its checksum, decrypt
//	    ▼ neither
//	one flight, shared by all who want one of its units
//	    │ FetchFunc writes ciphertext, piece by piece, and for each piece:
//	    ├─► decrypted into the unit; readers whose bytes have come are woken
//	    ├─► whole units, several together: ciphertext to disk, then checksums to the index
//	    └─► a whole chunk: its MAC, on any core; all chunks: compared with the key's
//
// The piece is the unit: 128 KiB, aligned. Read-ahead turns several units into one flight and several
// flights into a window; window.go decides how much, as a pure function of the offsets read. Random
// reads fetch the one unit that they need, beginning with the bytes that they wait for (front.go). A flight lives as long as somebody wants it: readers that
// wait for it, and open readers that asked for it or had it fetched ahead. The last one's Close cancels
// it.
//
// # What is promised
//
// Bytes are served as they arrive: single chunks of MEGA's can't be told right from wrong, only whole
// files. Files up to 1 MiB are therefore fetched and verified whole before the first byte is served;
// of larger ones [Cache.State] says whether all was seen and fitted. If it did not fit, in none of the
// known variants, all of it is dropped and fetched another way; if the same comes again, the file is
// quarantined and reads give [ErrQuarantined].
//
// The disk level can only help, and nobody waits for it (spill.go). Stretches of several units go past the kernel's
// page cache (stretch.go), and a stream's come before they are asked for (disk.go). It holds ciphertext; its index is written after the data and never
// trusted: at each read the unit's keyed checksum decides, so that what a crash, a power cut, a bad
// disk or another program left there is either right or silently fetched again. Without room, or
// without its folder, reads go on from memory and network, and the log says so once. FORMAT.md
// describes the files.
//
// A read fails with what FetchFunc returned, wrapped in a [FetchError]; with its context's error; with
// ErrQuarantined, ErrWrong, [ErrTimeout] or [ErrClosed]; in a cache so busy that a verdict could not be reached, with an
// error that says so; and with nothing else.
//
// A file that is read whole is right, or its reading fails, however small the cache and whoever else reads it. Three things
// see to that. What comes is marked by a keyed checksum, and what comes again must be what came before, before anybody
// sees it (seen.go); so a MAC that is computed later, of bytes fetched again, is one of what was served. The read with
// which all of a file has come since the cache knows it waits for the verdict, for which units that are gone are fetched
// again (verdict.go). When it is bad, whoever has the file open gets [ErrWrong] from then on, and who keeps bytes that
// were served, as the kernel does, asks [Cache.Standing] before he serves them again.
//
// What this can't see: the cache forgets a file that nobody has had open for long (some 500 others were used since). If
// that was verified before, the kernel keeps its pages; a unit that it dropped and the disk dropped, too, is then served
// when it comes and compared when the rest of its chunk does, if ever.
//
// [Cache.Verify] reads a file for the verdict alone; Options.Strict asks for it before each file's first byte;
// [Cache.Accept] lets its owner read what is wrong.
//
// # What is fetched without being asked for
//
// Read-ahead (window.go, link.go) and files that a program is likely to open next ([Cache.Prefetch]). It is
// counted, and limited to a tenth of what is of use beyond a small start (waste.go). FetchFunc is told ([AheadOfNeed]), so
// that it lets others go first.
//
// # Memory
//
// Units in memory are plaintext: a warm read is then a copy (about 20 GB/s on the machine where this
// was decided) and not a copy and a pass of AES-CTR (about 4 GB/s, and one allocation); see
// BenchmarkMemoryUnit. Everything that needs a buffer takes a permit for it first, of which there are
// Options.MemoryUnits, so that memory stays bounded whatever the readers do. The beginnings of large files
// take up to 4 MiB beside that (beginning.go).
//
// # Locks
//
// Order: entry of the name space first, bookkeeping last,
//
//	store.evicting → store.names → entry.io → store.mu
//	Cache.mu → store.mu
//	flight.mu → content.saving → entry.io
//	flight.mu → Cache.mu, content.saving → Cache.mu
//
// In other words: Cache.mu and store.mu are held for bookkeeping only, never during I/O, a fetch, a
// copy or cryptography, and nothing is locked while store.mu is. The disk side never calls back into
// the memory side.
package cache

// Package control is how the commands talk to the process that holds the mounts: small JSON requests over a
// Unix socket that only its owner can open. One process serves one account, with one socket.
package control

import (
	"context"
	"time"
)

// Backend is what the process that holds the mounts can do for others.
type Backend interface {
	Status(ctx context.Context) (Status, error)
	Mount(ctx context.Context, r MountRequest) error
	// Unmount returns when the folder is unmounted; with Wait, all that is pending has been uploaded before.
	// ending is true when it was the last one: the process then closes its stores and ends.
	Unmount(ctx context.Context, r UnmountRequest) (ending bool, err error)
	// Retry asks the cloud at once for what it has refused; Pause and Resume stop sending, and go on.
	Retry(ctx context.Context) error
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Approve lets the deletions go that the brake holds back, Revert brings back what they took away; both give a number.
	Approve(ctx context.Context) (int, error)
	Revert(ctx context.Context) (int, error)
	// Flush returns when what lies at path (absolute, inside a mount; "" for all) is in the cloud.
	Flush(ctx context.Context, path string) error
	Content
	Exporter
	History
	DebrisKeeper
	Linker
	Sharer
	Chronicler
	Carrier
	// Revive goes on with the session of a new login.
	Revive(ctx context.Context) error
	// Logout ends the session on the server and the process; it refuses while mounts or pending changes exist.
	Logout(ctx context.Context, discard bool) error
}

// MountRequest asks the process to show one more folder.
type MountRequest struct {
	Source       string // "" or /Remote/Folder
	Node         string // in its place: the handle of a folder below a link's
	FsName       string // what df and mount show as the device
	Mountpoint   string // absolute
	ReadOnly     bool
	AllowOther   bool
	UID, GID     uint32   // who owns everything
	FMask, DMask uint32   // taken from the modes of files, and of folders
	Flags        []string // of the mount: noexec, sync, dirsync
	Hidden       string   // name of the hidden folder; "": .mega
	Debug        bool
}

// UnmountRequest asks it to stop showing one.
type UnmountRequest struct {
	Mountpoint string
	Wait       bool
}

// Status is what `megadisk status --json` prints for each process. Sizes are bytes.
type Status struct {
	Account  string     `json:"account"` // of a public link: its address, without the key
	Host     string     `json:"host"`
	PID      int        `json:"pid"`
	Mounts   []Mount    `json:"mounts"`
	Online   bool       `json:"online"`
	Offline  *time.Time `json:"offline_since,omitempty"`
	Behind   *time.Time `json:"behind_since,omitempty"` // news from the cloud since then isn't shown yet
	Problem  string     `json:"problem,omitempty"`      // one sentence, when the person must do something
	Notices  []string   `json:"notices,omitempty"`      // a sentence each, on what isn't as it was asked for and no mount depends on
	Quota    Quota      `json:"quota"`
	Pending  Pending    `json:"pending"`
	HereOnly HereOnly   `json:"here_only"`
	// Interrupted are files that programs were writing when the process was killed: they are as they were at that moment.
	Interrupted []HereFile `json:"interrupted,omitempty"`
	Braked      int        `json:"braked,omitempty"` // deletions that wait for approve or revert
	Transfer    []Transfer `json:"transfers"`
	Cache       Cache      `json:"cache"`
	Pinned      []Pinned   `json:"pinned,omitempty"`
	// NoTransfer is until when there is no transfer quota, as far as is known.
	NoTransfer *time.Time `json:"no_transfer_until,omitempty"`
	// LittleTransfer is how many bytes of transfer quota are left when these are few.
	LittleTransfer int64 `json:"little_transfer_left,omitempty"`
}

// Mount is one mounted folder.
type Mount struct {
	Source     string `json:"source"`
	Mountpoint string `json:"mountpoint"`
	ReadOnly   bool   `json:"read_only"`
}

// Quota is the account's storage.
type Quota struct {
	Total int64 `json:"total"`
	Used  int64 `json:"used"`
}

// Pending is what is here and not yet in the cloud.
type Pending struct {
	Changes int       `json:"changes"`
	Bytes   int64     `json:"bytes"`
	Items   []Change  `json:"items"` // at most 100
	Oldest  time.Time `json:"oldest,omitzero"`
}

// Change is one inode that differs from the cloud.
type Change struct {
	Path   string `json:"path"`
	What   string `json:"what"`
	Size   int64  `json:"size"`
	Reason string `json:"reason,omitempty"` // why it is held back
}

// HereOnly are files that stay on this machine because of their name: locks and temporary files of programs. They are
// not among what is pending.
type HereOnly struct {
	Files int        `json:"files"`
	Items []HereFile `json:"items"` // at most 100
}

// HereFile is one of them.
type HereFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// Transfer is one file on its way up.
type Transfer struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Done int64  `json:"done"`
	Rate int64  `json:"rate"` // bytes a second, since it began
}

// Cache is the block cache.
type Cache struct {
	Bytes    int64  `json:"bytes"`
	Limit    int64  `json:"limit"`
	Hits     int64  `json:"hits"`
	Misses   int64  `json:"misses"`
	Degraded string `json:"degraded,omitempty"` // why it works without a disk
	Fetched  int64  `json:"fetched"`            // bytes from the network, since the process began
	Unasked  int64  `json:"unasked"`            // of them, bytes fetched ahead that no program has read
}

// Error is a refusal of the other side, with the exit status that fits it.
type Error struct {
	Message string `json:"error"`
	Exit    int    `json:"exit"`
	Ending  bool   `json:"ending,omitempty"` // the process is about to end: wait for that, then start a new one
}

func (e *Error) Error() string { return e.Message }

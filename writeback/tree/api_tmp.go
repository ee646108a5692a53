package tree

import (
	"context"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/dgraph-io/badger/v4"
)

type Tree struct{}
type Tx struct{}

func Open(o Options) (*Tree, error)                                          { return nil, ErrInvalid }
func (t *Tree) Close() error                                                 { return nil }
func (t *Tree) Sync() error                                                  { return nil }
func (t *Tree) Update(ctx context.Context, fn func(*Tx) error) error         { return nil }
func (t *Tree) View(fn func(*Tx) error) error                                { return nil }
func (t *Tree) Subscribe(fn func([]Change)) (cancel func())                  { return nil }
func (t *Tree) Get(ino Ino) (Inode, error)                                   { return Inode{}, nil }
func (t *Tree) Lookup(parent Ino, name string) (Inode, error)                { return Inode{}, nil }
func (t *Tree) ReadDir(parent Ino, after string, max int) ([]Inode, error)   { return nil, nil }
func (t *Tree) Resolve(path string) (Ino, error)                             { return 0, nil }
func (t *Tree) Path(ino Ino) (string, error)                                 { return "", nil }
func (t *Tree) BeginFetch(ctx context.Context) (uint32, error)               { return 0, nil }
func (t *Tree) EndFetch(ctx context.Context, epoch uint32) error             { return nil }
func (t *Tree) Fetched() bool                                                { return false }
func (t *Tree) Settled(ctx context.Context) error                            { return nil }
func (t *Tree) Unlock(ctx context.Context) (int, error)                      { return 0, nil }
func (t *Tree) Reap(ctx context.Context, keep func(Inode) bool) (int, error) { return 0, nil }
func (t *Tree) SN() string                                                   { return "" }
func (t *Tree) ShareKeys() map[megaclient.Handle]megacrypto.Key              { return nil }
func (t *Tree) SharesOf(ino Ino) ([]megaclient.Handle, error)                { return nil, nil }

func (tx *Tx) Get(ino Ino) (Inode, error)                                   { return Inode{}, nil }
func (tx *Tx) Lookup(parent Ino, name string) (Inode, error)                { return Inode{}, nil }
func (tx *Tx) ReadDir(parent Ino, after string, max int) ([]Inode, error)   { return nil, nil }
func (tx *Tx) ByHandle(h megaclient.Handle) (Ino, bool)                     { return 0, false }
func (tx *Tx) IsEmptyDir(ino Ino) (bool, error)                             { return false, nil }
func (tx *Tx) Path(ino Ino) (string, error)                                 { return "", nil }
func (tx *Tx) Versions(ino Ino) ([]Version, error)                          { return nil, nil }
func (tx *Tx) Create(in *Inode) error                                       { return nil }
func (tx *Tx) Put(in *Inode) error                                          { return nil }
func (tx *Tx) Move(ino, parent Ino, name string) error                      { return nil }
func (tx *Tx) Unlink(ino Ino) error                                         { return nil }
func (tx *Tx) Purge(ino Ino) error                                          { return nil }
func (tx *Tx) SetCloud(ino Ino, c *Cloud) error                             { return nil }
func (tx *Tx) ConflictName(parent Ino, name string) (string, error)         { return "", nil }
func (tx *Tx) Badger() *badger.Txn                                          { return nil }
func (tx *Tx) Note(c Change)                                                {}
func (tx *Tx) Full() bool                                                   { return false }
func (tx *Tx) PendingInos() []Ino                                           { return nil }
func (tx *Tx) MayCreate(parent Ino) error                                   { return nil }
func (tx *Tx) MayWrite(ino Ino) error                                       { return nil }
func (tx *Tx) MayRemove(ino Ino) error                                      { return nil }
func (tx *Tx) MayMove(ino, parent Ino) error                                { return nil }
func (tx *Tx) ApplyNode(n *megaclient.Node, tag string) error               { return nil }
func (tx *Tx) ApplyAttrs(h megaclient.Handle, raw string) error             { return nil }
func (tx *Tx) ApplyRemove(h megaclient.Handle, move bool) error             { return nil }
func (tx *Tx) ApplyFileAttrs(h megaclient.Handle, fa string) error          { return nil }
func (tx *Tx) ApplyLink(node, public megaclient.Handle, removed bool) error { return nil }
func (tx *Tx) DropHalves() error                                            { return nil }
func (tx *Tx) SN() string                                                   { return "" }
func (tx *Tx) SetSN(sn string) error                                        { return nil }
func (tx *Tx) Meta(key string) ([]byte, error)                              { return nil, nil }
func (tx *Tx) SetMeta(key string, value []byte) error                       { return nil }
func (tx *Tx) ShareKeys() map[megaclient.Handle]megacrypto.Key              { return nil }
func (tx *Tx) AddShareKeys(m map[megaclient.Handle]megacrypto.Key) error    { return nil }
func (tx *Tx) SharesOf(ino Ino) ([]megaclient.Handle, error)                { return nil, nil }

func WithOrigin(ctx context.Context, origin any) context.Context { return ctx }
func Escape(raw string) string                                   { return raw }
func Unescape(shown string) string                               { return shown }
func ToCloud(name string) string                                 { return name }
func Shown(raw string) string                                    { return raw }
func ValidName(name string) error                                { return nil }

package debris

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"megadisk/writeback/durable"
)

// What a store holds at most, beside Options.Limit.
const (
	MaxAge   = 30 * 24 * time.Hour // how long an item stays
	MaxItems = 10_000              // each is in memory, and is opened at each start
)

// ErrNoItem means that there is no item of that id.
var ErrNoItem = errors.New("no such debris")

// ErrTooLarge means that the content is larger than all that the store may hold.
var ErrTooLarge = errors.New("larger than the limit of the debris")

// Why says what became of a file.
type Why string

// The reasons.
const (
	Deleted  Why = "deleted"
	Replaced Why = "replaced"
)

// Info says what an item is.
type Info struct {
	Path  string `cbor:"1,keyasint"` // of the file, in the account, when it went; bytes
	Size  int64  `cbor:"2,keyasint"`
	Mtime int64  `cbor:"3,keyasint"` // ns since 1970
	Why   Why    `cbor:"4,keyasint"`
	Kept  int64  `cbor:"5,keyasint"` // when it came here, ns since 1970; Add sets it
}

// Item is one kept content.
type Item struct {
	Info
	ID string
}

// Options say where a store is and what it may take.
type Options struct {
	Dir   string
	Key   [32]byte
	Limit int64 // bytes of content, of all items together
	Log   logrus.FieldLogger
	Now   func() time.Time // for tests; nil means time.Now
}

// Store is a folder of items.
type Store struct {
	o Options

	mu    sync.Mutex
	items []Item // GUARDED_BY(mu); the oldest first
	total int64  // GUARDED_BY(mu): bytes of content of all
}

const (
	suffix     = ".deb"
	partSuffix = ".part" // of one that isn't finished
)

// Open opens a folder of items, or says that there will be one. Items that can't be read are left alone and logged, as are
// those that it was time for and that can't be removed.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{o: o}
	entries, err := os.ReadDir(o.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opening the debris: %w", err)
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if filepath.Ext(e.Name()) == partSuffix {
			_ = os.Remove(filepath.Join(o.Dir, e.Name()))
		}
		if !ok {
			continue
		}
		info, err := s.readInfo(id)
		if err != nil {
			o.Log.WithError(err).Warn("some debris can't be read")
			continue
		}
		s.items = append(s.items, Item{Info: info, ID: id})
		s.total += info.Size
	}
	slices.SortFunc(s.items, func(a, b Item) int { return cmp.Or(cmp.Compare(a.Kept, b.Kept), strings.Compare(a.ID, b.ID)) })
	if err := s.Expire(); err != nil {
		o.Log.WithError(err).Warn("some debris could not be removed")
	}
	return s, nil
}

func (s *Store) file(id string) string { return filepath.Join(s.o.Dir, id+suffix) }

func (s *Store) readInfo(id string) (Info, error) {
	f, err := os.Open(s.file(id))
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	_, info, _, err := openItem(f, s.o.Key)
	return info, err
}

// Add keeps content, which read gives like io.ReaderAt. It may take long. Errors: ErrTooLarge, and what read and the
// disk say.
func (s *Store) Add(info Info, read func(p []byte, off int64) (int, error)) (Item, error) {
	if info.Size > s.o.Limit {
		return Item{}, ErrTooLarge
	}
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return Item{}, fmt.Errorf("keeping debris: %w", err)
	}
	info.Kept = s.o.Now().UnixNano()
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	it := Item{Info: info, ID: hex.EncodeToString(raw[:])}
	if err := s.write(it, read); err != nil {
		return Item{}, fmt.Errorf("keeping debris: %w", err)
	}
	s.mu.Lock()
	s.items = append(s.items, it)
	s.total += it.Size
	s.mu.Unlock()
	return it, s.Expire()
}

func (s *Store) write(it Item, read func([]byte, int64) (int, error)) error {
	part := filepath.Join(s.o.Dir, it.ID+partSuffix)
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = writeItem(f, s.o.Key, it.Info, read)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(part, s.file(it.ID))
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(part)))
	}
	return durable.SyncDir(s.o.Dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// List gives all items, the oldest first.
func (s *Store) List() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.items)
}

// Item gives one. Errors: ErrNoItem.
func (s *Store) Item(id string) (Item, error) {
	for _, it := range s.List() {
		if it.ID == id {
			return it, nil
		}
	}
	return Item{}, ErrNoItem
}

// Remove drops an item. Errors: ErrNoItem.
func (s *Store) Remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.items, func(it Item) bool { return it.ID == id })
	if at < 0 {
		return ErrNoItem
	}
	if err := ignoreMissing(os.Remove(s.file(id))); err != nil {
		return err
	}
	s.total -= s.items[at].Size
	if at == 0 { // as most are: the others need not be moved
		s.items[0] = Item{}
		s.items = s.items[1:]
		return nil
	}
	s.items = slices.Delete(s.items, at, at+1)
	return nil
}

// Clear drops all items, and gives their number. One that can't be removed keeps no other.
func (s *Store) Clear() (removed int, err error) {
	for _, it := range s.List() {
		switch e := s.Remove(it.ID); {
		case e == nil:
			removed++
		case !errors.Is(e, ErrNoItem): // else it expired meanwhile
			err = errors.Join(err, e)
		}
	}
	return removed, err
}

// Expire drops what is too old, and the oldest of what is too much.
func (s *Store) Expire() error {
	var errs []error
	for _, id := range s.due() {
		if err := s.Remove(id); err != nil && !errors.Is(err, ErrNoItem) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// due lists what is to be dropped.
func (s *Store) due() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.total
	for i, it := range s.items {
		old := s.o.Now().Sub(time.Unix(0, it.Kept)) > MaxAge
		if !old && left <= s.o.Limit && len(s.items)-i <= MaxItems {
			break
		}
		ids = append(ids, it.ID)
		left -= it.Size
	}
	return ids
}

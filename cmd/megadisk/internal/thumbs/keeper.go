package thumbs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sirupsen/logrus"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// Mount is a folder that is shown, and where.
type Mount struct {
	Root  tree.Ino
	Point string
}

// Options say what a Keeper works with.
type Options struct {
	Engine *writeback.Engine
	Client *megaclient.Client
	Dir    string         // of the desktop's thumbnails; "": none are put there
	Mounts func() []Mount // those whose thumbnails are this user's
	Log    logrus.FieldLogger
}

const (
	foldersWaiting = 64    // folders that wait to be gone through; older ones give way
	madeWaiting    = 4096  // uploaded pictures that wait for their thumbnails
	entriesKnown   = 16384 // thumbnails that are known to be there
	pageSize       = 500   // entries of a folder that are looked at at a time
)

// Keeper fetches thumbnails for folders that are looked at, and makes them for what was uploaded. Its methods never
// wait.
type Keeper struct {
	o     Options
	store store
	known *lru.Cache[string, int64] // by the file in the store: its time

	mu      sync.Mutex
	folders []tree.Ino // the next last; GUARDED_BY(mu)
	made    []tree.Ino // GUARDED_BY(mu)
	look    chan struct{}
	make    chan struct{}
}

// New makes a Keeper; Run does its work.
func New(o Options) *Keeper {
	known, _ := lru.New[string, int64](entriesKnown) // fails only for sizes below 1
	return &Keeper{o: o, store: store{o.Dir}, known: known, look: make(chan struct{}, 1), make: make(chan struct{}, 1)}
}

// Looked says that somebody looks at a folder.
func (k *Keeper) Looked(dir tree.Ino) {
	if k.o.Dir == "" {
		return
	}
	k.mu.Lock()
	k.folders = append(slices.DeleteFunc(k.folders, func(d tree.Ino) bool { return d == dir }), dir)
	if len(k.folders) > foldersWaiting {
		k.folders = k.folders[1:]
	}
	k.mu.Unlock()
	poke(k.look)
}

// Uploaded says that a new version of a file has come to the cloud from here.
func (k *Keeper) Uploaded(ino tree.Ino) {
	in, err := k.o.Engine.Tree().Get(ino)
	if err != nil || !isPicture(in.Name) || in.Size > maxPicture {
		return
	}
	k.mu.Lock()
	if len(k.made) < madeWaiting {
		k.made = append(k.made, ino)
	}
	k.mu.Unlock()
	poke(k.make)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run works until ctx ends: side by side on what is looked at and what was uploaded.
func (k *Keeper) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() {
		serveQueue(ctx, k.look, func() (tree.Ino, bool) { return k.take(&k.folders, true) }, k.fill)
	})
	work.Go(func() {
		serveQueue(ctx, k.make, func() (tree.Ino, bool) { return k.take(&k.made, false) }, k.attach)
	})
	work.Wait()
}

// take gives the next of a list, from its end or its beginning.
func (k *Keeper) take(list *[]tree.Ino, last bool) (ino tree.Ino, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := *list
	if len(all) == 0 {
		return 0, false
	}
	if last {
		ino, *list = all[len(all)-1], all[:len(all)-1]
	} else {
		ino, *list = all[0], all[1:]
	}
	return ino, true
}

// serveQueue does what is waiting, and waits for more.
func serveQueue(ctx context.Context, more <-chan struct{}, next func() (tree.Ino, bool), do func(context.Context, tree.Ino)) {
	for {
		for ino, ok := next(); ok && ctx.Err() == nil; ino, ok = next() {
			do(ctx, ino)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// wanted is one file whose picture is missing here.
type wanted struct {
	entries []entry
	key     megacrypto.FileKey
	attr    megaclient.FileAttr
}

// fill puts the thumbnails of a folder's files where desktops find them: the small ones first, for all.
func (k *Keeper) fill(ctx context.Context, dir tree.Ino) {
	places := k.places(dir)
	if len(places) == 0 {
		return
	}
	for _, z := range []size{normal, large} {
		for after := ""; ctx.Err() == nil; {
			page, err := k.o.Engine.Tree().ReadDir(dir, after, pageSize)
			if err != nil || len(page) == 0 {
				break
			}
			k.fetch(ctx, z, k.missing(z, page, places))
			after = page[len(page)-1].Name
		}
	}
}

// places lists the paths under which a folder is shown.
func (k *Keeper) places(dir tree.Ino) (paths []string) {
	for _, m := range k.o.Mounts() {
		var names []string
		for at := dir; ; {
			if at == m.Root {
				slices.Reverse(names)
				paths = append(paths, filepath.Join(append([]string{m.Point}, names...)...))
				break
			}
			in, err := k.o.Engine.Tree().Get(at)
			if err != nil || in.Removed || in.Parent == 0 {
				break
			}
			names, at = append(names, in.Name), in.Parent
		}
	}
	return paths
}

// missing lists the files of which the cloud has a picture and the desktop none.
func (k *Keeper) missing(z size, files []tree.Inode, places []string) (list []wanted) {
	for i := range files {
		in := &files[i]
		attr, ok := pictureOf(in, z)
		if !ok {
			continue
		}
		key, err := megacrypto.UnpackFileKey(in.Cloud.Key)
		if err != nil {
			continue
		}
		w := wanted{key: key, attr: attr}
		for _, place := range places {
			e := entry{uri: fileURI(strings.TrimSuffix(place, "/") + "/" + in.Name), mtime: floorSeconds(in.Mtime)}
			if !k.isThere(z, e) {
				w.entries = append(w.entries, e)
			}
		}
		if len(w.entries) > 0 {
			list = append(list, w)
		}
	}
	return list
}

// pictureOf gives the attribute that serves for a size: the better one for it, or else the other.
func pictureOf(in *tree.Inode, z size) (megaclient.FileAttr, bool) {
	if in.Kind != tree.File || in.Cloud == nil || in.Cloud.FileAttrs == "" || in.Pending.Has(tree.PendingContent) {
		return megaclient.FileAttr{}, false
	}
	order := []megaclient.FileAttrType{megaclient.Thumbnail, megaclient.Preview}
	if z == large {
		slices.Reverse(order)
	}
	for _, t := range order {
		if a, ok := megaclient.ParseFileAttr(in.Cloud.FileAttrs, t); ok {
			return a, true
		}
	}
	return megaclient.FileAttr{}, false
}

func (k *Keeper) isThere(z size, e entry) bool {
	path := k.store.path(z, e.uri)
	if at, ok := k.known.Get(path); ok && at == e.mtime {
		return true
	}
	if !k.store.has(z, e) {
		return false
	}
	k.known.Add(path, e.mtime)
	return true
}

// fetch fetches pictures and stores them.
func (k *Keeper) fetch(ctx context.Context, z size, list []wanted) {
	if len(list) == 0 {
		return
	}
	byAttr := map[megaclient.FileAttr][]wanted{}
	var attrs []megaclient.FileAttr
	for _, w := range list {
		if len(byAttr[w.attr]) == 0 {
			attrs = append(attrs, w.attr)
		}
		byAttr[w.attr] = append(byAttr[w.attr], w)
	}
	err := k.o.Client.FetchFileAttrs(ctx, attrs, func(a megaclient.FileAttr, data []byte) {
		for _, w := range byAttr[a] {
			if err := k.keep(z, w, data); err != nil {
				k.o.Log.WithError(err).Debug("a thumbnail")
			}
		}
	})
	if err != nil && ctx.Err() == nil {
		k.o.Log.WithError(err).Debug("thumbnails of a folder")
	}
}

func (k *Keeper) keep(z size, w wanted, data []byte) error {
	plain, err := megaclient.OpenFileAttr(w.key, data)
	if err != nil {
		return err
	}
	picture, err := decode(plain)
	if err != nil {
		return err
	}
	small := fitInto(picture, z.pixels)
	for _, e := range w.entries {
		if err := k.store.put(z, e, small); err != nil {
			return err
		}
		k.known.Add(k.store.path(z, e.uri), e.mtime)
	}
	return nil
}

// attach makes the pictures of an uploaded file, from what is here of it, and attaches them.
func (k *Keeper) attach(ctx context.Context, ino tree.Ino) {
	in, err := k.o.Engine.Tree().Get(ino)
	if err != nil || in.Cloud == nil || in.Cloud.FileAttrs != "" || in.Pending.Has(tree.PendingContent) {
		return
	}
	key, err := megacrypto.UnpackFileKey(in.Cloud.Key)
	if err != nil {
		return
	}
	thumb, preview, err := k.picturesOf(ctx, ino, in.Size)
	if err == nil {
		err = k.o.Client.AttachFileAttrs(ctx, in.Cloud.Handle, key, map[megaclient.FileAttrType][]byte{
			megaclient.Thumbnail: thumb, megaclient.Preview: preview,
		})
	}
	if err != nil && ctx.Err() == nil {
		k.o.Log.WithError(err).Debug("making a thumbnail")
	}
}

func (k *Keeper) picturesOf(ctx context.Context, ino tree.Ino, size int64) (thumb, preview []byte, err error) {
	if size > maxPicture {
		return nil, nil, errTooLarge // it has grown since Uploaded
	}
	f, err := k.o.Engine.Open(ctx, ino, false, false)
	if err != nil {
		return nil, nil, err
	}
	defer f.Release()
	content := make([]byte, size)
	if n, err := f.ReadAt(ctx, content, 0); err != nil && n < len(content) {
		return nil, nil, err
	}
	return makePictures(content)
}

// floorSeconds is what stat(2) shows as seconds.
func floorSeconds(ns int64) int64 {
	s := ns / int64(time.Second)
	if ns%int64(time.Second) < 0 {
		s--
	}
	return s
}

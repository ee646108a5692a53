// Drives megajs for the Go tests: reads one JSON command a line, {id, op, ...}, and answers {id, ...} or
// {id, error}.
import { createDecipheriv, createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { readFile, writeFile } from 'node:fs/promises'
import { API, File, Storage } from 'megajs'

const gateway = process.argv[2]
// Public links, and what is below a public folder, go through the global API object.
API.globalApi = new API(false, { gateway })

let storage

const at = path => {
  const node = path === '' ? storage.root : storage.root.navigate(path)
  if (!node) throw Error(`no such path: ${path}`)
  return node
}

const listing = folder => {
  const entries = {}
  const walk = (node, prefix) => {
    for (const child of node.children || []) {
      const path = prefix + child.name
      entries[path] = { dir: child.directory, size: child.size || 0, handle: child.nodeId || '' }
      walk(child, path + '/')
    }
  }
  walk(folder, '')
  return entries
}

// bytes reads a file. With verify false the end is given, which makes megajs leave out its check.
const bytes = async (file, verify) => {
  const options = verify ? {} : { end: Math.max(file.size - 1, 1) }
  if (!verify && file.size === 1) delete options.end // an end of 0 counts as none
  return file.downloadBuffer(options)
}

const download = async (file, verify, to) => writeFile(to, await bytes(file, verify))

// openShares gives megajs the keys of incoming shares, which it doesn't look for by itself (it takes share keys
// from ok alone), and lets it read the nodes below them once more.
const openShares = async () => {
  const tree = await storage.api.request({ a: 'f', c: 1 })
  const keys = {}
  for (const node of tree.f) {
    if (!node.su) continue
    const sealed = Buffer.from(node.sk, 'base64url')
    keys[node.h] = sealed.length > 16 ? storage.decryptRsaKey(sealed).subarray(0, 16) : storage.aes.decryptECB(sealed)
  }
  Object.assign(storage.shareKeys, keys)
  const shares = {}
  for (const node of tree.f) {
    if (!node.k || !node.k.split('/').some(k => keys[k.split(':')[0]])) continue
    delete storage.files[node.h]
    const file = storage._importFile(node)
    if (node.su) shares[file.name] = file
  }
  return shares
}

const digest = bytes => createHash('sha256').update(bytes).digest('hex')

// digests reads every file below a folder: '' for folders.
const digests = async (folder, unverified) => {
  const all = {}
  const files = []
  const walk = (node, prefix) => {
    for (const child of node.children || []) {
      const path = prefix + child.name
      if (child.directory) {
        all[path] = ''
        walk(child, path + '/')
      } else files.push([path, child])
    }
  }
  walk(folder, '')
  const next = async () => {
    for (let file = files.pop(); file; file = files.pop()) {
      const [path, node] = file
      all[path] = digest(await bytes(node, !unverified.includes(node.size)))
    }
  }
  await Promise.all(Array.from({ length: 8 }, next))
  return all
}

const ops = {
  async login ({ email, password }) {
    storage = await new Storage({ email, password, gateway }).ready
    storage.api.on('error', error => console.error('event channel:', error.message))
    return { user: storage.user, name: storage.name }
  },
  async ls () { return listing(storage.root) },
  // see waits until the paths of the drive, as the events tell them, are what is expected.
  async see ({ paths }) {
    const want = JSON.stringify(paths)
    const now = () => JSON.stringify(Object.keys(listing(storage.root)).sort())
    const events = ['add', 'delete', 'move', 'update']
    await new Promise((resolve, reject) => {
      const done = end => {
        clearTimeout(timer)
        for (const e of events) storage.off(e, check)
        end()
      }
      // Some events come before the tree has changed: look when the handler has returned.
      const check = () => setImmediate(() => { if (now() === want) done(resolve) })
      const timer = setTimeout(() => done(() => reject(Error(`still sees ${now()}`))), 15000)
      for (const e of events) storage.on(e, check)
      check()
    })
  },
  async digests ({ unverified }) { return digests(storage.root, unverified) },
  async sharedigests ({ name, unverified }) { return digests((await openShares())[name], unverified) },
  async shareput ({ share, path, name, from }) {
    let folder = (await openShares())[share]
    if (path) folder = folder.navigate(path)
    const node = await folder.upload({ name }, await readFile(from)).complete
    return { handle: node.nodeId }
  },
  async put ({ path, name, from }) {
    const node = await at(path).upload({ name }, await readFile(from)).complete
    return { handle: node.nodeId }
  },
  async get ({ path, verify, to }) { await download(at(path), verify, to) },
  async mkdir ({ path, name }) { return { handle: (await at(path).mkdir(name)).nodeId } },
  async rename ({ path, name }) { await at(path).rename(name) },
  async move ({ path, target }) { await at(path).moveTo(at(target)) },
  async delete ({ path, permanent }) { await at(path).delete(permanent) },
  async link ({ path }) { return { url: await at(path).link() } },
  async lslink ({ url }) { return listing(await File.fromURL(url).loadAttributes()) },
  async getlink ({ url, path, verify, to }) {
    const opened = await File.fromURL(url).loadAttributes()
    const file = path ? opened.navigate(path) : opened
    if (!file) throw Error(`no such path: ${path}`)
    await download(file, verify, to)
    return { name: file.name }
  },
  // picture reads a thumbnail (0) or preview (1) as the web client does; megajs can attach them, and has no way to read them.
  async picture ({ path, type, to }) {
    const node = at(path)
    const tree = await storage.api.request({ a: 'f', c: 1 })
    const attributes = tree.f.find(n => n.h === node.nodeId).fa || ''
    const found = attributes.split('/').map(a => /^\d+:(\d)\*(.+)$/.exec(a)).find(m => m && Number(m[1]) === type)
    if (!found) throw Error('no such picture')
    const handle = Buffer.from(found[2], 'base64url')
    const { p: url } = await storage.api.request({ a: 'ufa', fah: found[2], ssl: 2, r: 1 })
    const answer = Buffer.from(await (await fetch(url, { method: 'POST', body: handle })).arrayBuffer())
    const sealed = answer.subarray(12, 12 + answer.readUInt32LE(8))
    const key = Buffer.from(node.key.subarray(0, 16).map((b, i) => b ^ node.key[i + 16]))
    const cipher = createDecipheriv('aes-128-cbc', key, Buffer.alloc(16)).setAutoPadding(false)
    await writeFile(to, Buffer.concat([cipher.update(sealed), cipher.final()]))
  },
  async attach ({ path, type, from }) { await at(path).uploadAttribute(type, await readFile(from)) },
  // calm makes failures that nobody waits for, of the event channel for instance, no end.
  async calm () { for (const e of ['unhandledRejection', 'uncaughtException']) process.on(e, error => console.error(e, error.message)) },
  async reload () { await storage.reload(true) },
  async quota () { return storage.getAccountInfo() },
  async logout () { await storage.close() }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...args } = JSON.parse(line)
  let answer
  try {
    answer = { id, result: await ops[op](args) ?? null }
  } catch (error) {
    answer = { id, error: error.message || String(error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
process.exit(0)

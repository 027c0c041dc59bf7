import {expect} from 'chai'
import {chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {LocalStorage} from '../../../../src/lib/repository/storage/local.ts'
import {localError} from '../../../../src/lib/repository/storage/local-errors.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {storageContract} from '../../../support/storage-contract.ts'
import {keysOf} from '../../../support/storage-contract-run.ts'

storageContract('A folder', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'dr-local-'))
  return {storage: new LocalStorage(directory), close: async () => rm(directory, {recursive: true})}
})

describe('LocalStorage', () => {
  let directory: string
  let storage: LocalStorage

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dr-local-'))
    storage = new LocalStorage(join(directory, 'root'))
  })

  afterEach(async () => rm(directory, {recursive: true}))

  it('takes a file over by a second name on the same file system, and copies it otherwise', async () => {
    const source = join(directory, 'staged')
    await writeFile(source, 'data')
    await storage.putFile('a/member', source)
    expect((await stat(source)).ino).to.equal((await stat(join(directory, 'root/a/member'))).ino)
    const other = await mkdtemp('/dev/shm/dr-local-').catch(() => undefined)
    if (other === undefined) return
    try {
      await writeFile(join(other, 'staged'), 'copied')
      await storage.putFile('a/copied', join(other, 'staged'))
      expect(await readFile(join(directory, 'root/a/copied'), 'utf8')).to.equal('copied')
    } finally {
      await rm(other, {recursive: true})
    }
  })

  it('makes files and folders for their owner alone', async () => {
    await storage.put('a/b', 'secret')
    expect((await stat(join(directory, 'root'))).mode & 0o777).to.equal(0o700)
    expect((await stat(join(directory, 'root/a'))).mode & 0o777).to.equal(0o700)
    expect((await stat(join(directory, 'root/a/b'))).mode & 0o777).to.equal(0o600)
  })

  it('never lists temporary files, and hands the abandoned ones over', async () => {
    await storage.put('a/b', 'x')
    const left = join(directory, 'root/a/.dr-tmp-0badc0de-toc.dat')
    await writeFile(left, 'half')
    await mkdir(join(directory, 'root/only'))
    await writeFile(join(directory, 'root/only/.dr-tmp-0badc0de-1.dat'), 'half')
    expect(await keysOf(storage)).to.deep.equal(['a/b'])
    expect(await storage.folders('')).to.deep.equal(['a'])
    expect(await storage.abandonedUploads(3_600_000)).to.deep.equal([])
    await utimes(left, new Date(0), new Date(0))
    const found = await storage.abandonedUploads(0)
    expect(found.map(({key}) => key)).to.deep.equal(['a/toc.dat', 'only/1.dat'])
    for (const upload of found) await storage.abortUpload(upload)
    expect(await readdir(join(directory, 'root/a'))).to.deep.equal(['b'])
    expect(await readdir(join(directory, 'root'))).to.deep.equal(['a'])
  })

  it('treats a missing folder as an error when it must exist', async () => {
    const strict = new LocalStorage(join(directory, 'unmounted'), {mustExist: true})
    const uses = [() => keysOf(strict), () => strict.folders(''), () => strict.stat('a'), () => strict.put('a', 'x'), () => strict.check(), () => strict.remove('a'), () => strict.abandonedUploads(0)]
    for (const use of uses) {
      const error = await drErrorOf(use())
      expect(error.code).to.equal('storage.no-bucket')
      expect(error.exitCode).to.equal(5)
    }
    await storage.check()
    expect(await keysOf(storage)).to.deep.equal([])
    expect(await readdir(directory)).to.deep.equal([])
  })

  it('says that its folder is a file', async () => {
    await writeFile(join(directory, 'file'), '')
    expect((await drErrorOf(new LocalStorage(join(directory, 'file')).check())).code).to.equal('storage.no-bucket')
  })

  it('ends a read of a file that becomes shorter in an error', async () => {
    await storage.put('a', Buffer.alloc(1_000_000, 1))
    const stream = await storage.read('a')
    await truncate(join(directory, 'root/a'), 700_000)
    const reading = (async () => {
      let bytes = 0
      for await (const chunk of stream) bytes += (chunk as Buffer).length
      return bytes
    })()
    expect((await drErrorOf(reading)).code).to.equal('storage.corrupt')
  })

  it('lists a file behind a link, and no folder behind one', async () => {
    await storage.put('a/b', 'xyz')
    await symlink(join(directory, 'root/a/b'), join(directory, 'root/link'))
    await symlink(join(directory, 'root/a'), join(directory, 'root/loop'))
    await symlink(join(directory, 'nowhere'), join(directory, 'root/dangling'))
    expect(await keysOf(storage)).to.deep.equal(['a/b', 'link'])
  })

  it('translates what the file system refuses', () => {
    const codes = {EACCES: 'storage.denied', EROFS: 'storage.denied', ENOSPC: 'storage.full', EDQUOT: 'storage.full', EIO: 'storage.unreachable', ENOENT: 'storage.not-found'}
    for (const [code, expected] of Object.entries(codes)) {
      const error = localError(Object.assign(new Error(code), {code}), '/backups/a')
      expect(error).to.have.property('code', expected)
      expect(error.message).to.contain('/backups/a')
    }
    const other = new Error('unknown')
    expect(localError(other, 'x')).to.equal(other)
  })

  it('says that a folder is not writable', async function () {
    if (process.getuid?.() === 0) {
      // root may write everywhere, except where nobody may.
      expect((await drErrorOf(new LocalStorage('/proc/self').put('dr-test', 'x'))).code).to.be.oneOf(['storage.denied', 'storage.not-found'])
      return
    }
    await storage.put('a', 'x')
    await chmod(join(directory, 'root'), 0o500)
    expect((await drErrorOf(storage.check())).code).to.equal('storage.denied')
    expect((await drErrorOf(storage.put('b', 'x'))).code).to.equal('storage.denied')
    await chmod(join(directory, 'root'), 0o700)
  })
})

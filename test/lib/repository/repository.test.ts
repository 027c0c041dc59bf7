import {expect} from 'chai'
import {DrError, unreachableError} from '../../../src/lib/errors.ts'
import {Repository, type BackupEntry} from '../../../src/lib/repository/repository.ts'
import {LocalStorage} from '../../../src/lib/repository/storage/local.ts'
import {serializeManifest, type Manifest} from '../../../src/lib/repository/manifest.ts'
import {denied as deniedError} from '../../../src/lib/repository/storage/failures.ts'
import {sampleManifest} from '../../support/manifest.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {keysOf} from '../../support/storage-contract-run.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const label = (day: number) => `202611${String(day).padStart(2, '0')}T020000Z-7f3a`

describe('Repository', () => {
  const folder = temporaryFolder()
  let storage: LocalStorage
  let repository: Repository

  beforeEach(() => {
    storage = new LocalStorage(folder.path)
    repository = new Repository(storage, 'production')
  })

  async function backup(day: number, changes: Partial<Manifest> = {}): Promise<string> {
    await storage.put(`production/${label(day)}/toc.dat`, 'PGDMP')
    await repository.writeManifest(sampleManifest({label: label(day), ...changes}))
    return label(day)
  }
  const evidence = (kind: 'verified' | 'drilled', ok = true) => ({kind, at: new Date().toISOString(), level: 'full', ok, by: 'test'})
  const all = async (): Promise<BackupEntry[]> => {
    const entries: BackupEntry[] = []
    for await (const entry of repository.backups()) entries.push(entry)
    return entries
  }

  it('is empty at first', async () => {
    expect(await repository.labels()).to.deep.equal([])
    expect(await all()).to.deep.equal([])
    expect(await repository.latest()).to.equal(undefined)
    expect(await repository.unfinished()).to.deep.equal([])
  })

  it('lists finished backups of its environment, newest first', async () => {
    for (const day of [3, 1, 2]) await backup(day)
    await storage.put(`staging/${label(9)}/manifest.json`, serializeManifest(sampleManifest({label: label(9)})))
    await storage.put('production/notes/manifest.json', 'a folder of somebody')
    await storage.put(`production/${label(5)}/toc.dat`, 'unfinished')
    expect(await repository.labels()).to.deep.equal([label(3), label(2), label(1)])
    const entries = await all()
    expect(entries.map((entry) => entry.label)).to.deep.equal([label(3), label(2), label(1)])
    expect(entries[0]).to.deep.include({environment: 'production', storage: 'local', location: `${folder.path}/production/${label(3)}`, level: 'stored', evidence: []})
    expect(entries[0]?.manifest?.label).to.equal(label(3))
  })

  it('lists many with few reads at once', async () => {
    for (let day = 1; day <= 20; day += 1) await backup(day)
    const read = storage.read.bind(storage)
    let running = 0
    let most = 0
    storage.read = async (...args) => {
      running += 1
      most = Math.max(most, running)
      await new Promise(setImmediate)
      running -= 1
      return read(...args)
    }
    expect(await all()).to.have.length(20)
    expect(most).to.be.within(2, 8)
  })

  it('says in the entry what is wrong with one backup, and lists the others', async () => {
    await backup(1)
    await storage.put(`production/${label(2)}/manifest.json`, '{"schemaVersion": 7}')
    await storage.put(`production/${label(3)}/manifest.json`, '{"schema')
    await storage.put(`production/${label(4)}/manifest.json`, serializeManifest(sampleManifest({label: label(1)})))
    const entries = await all()
    expect(entries.map(({error}) => error?.code)).to.deep.equal(['manifest.invalid', 'manifest.invalid', 'manifest.newer', undefined])
    expect(entries[0]?.error?.message).to.contain(`holds the manifest of ${label(1)}`)
    expect((await drErrorOf(repository.open(label(2)))).code).to.equal('manifest.newer')
    expect((await repository.latest())?.label).to.equal(label(1))
  })

  it('fails when the storage does, in the middle too', async () => {
    await backup(1)
    await backup(2)
    storage.read = async () => Promise.reject(unreachableError('storage.unreachable', 'gone'))
    expect((await drErrorOf(all())).code).to.equal('storage.unreachable')
    expect((await drErrorOf(repository.latest())).code).to.equal('storage.unreachable')
  })

  it('opens a finished backup, and no other', async () => {
    await backup(1)
    await repository.addEvidence(label(1), evidence('verified'))
    const entry = await repository.open(label(1))
    expect(entry.level).to.equal('verified')
    expect(entry.evidence).to.have.length(1)
    await storage.put(`production/${label(2)}/toc.dat`, 'unfinished')
    expect((await drErrorOf(repository.open(label(2)))).code).to.equal('storage.not-found')
    expect((await drErrorOf(repository.open('../../etc'))).code).to.equal('label.malformed')
  })

  it('leaves out evidence that is none or is not given out, and reads the rest', async () => {
    await backup(1)
    await repository.addEvidence(label(1), {...evidence('verified'), at: '2026-11-02T00:00:00Z'})
    await storage.put(`production/${label(1)}/evidence/20261103T000000000Z-drilled.json`, '{"kind":')
    await storage.put(`production/${label(1)}/evidence/20261104T000000000Z-drilled.json`, '{"kind": "dreamt"}')
    const closed = `production/${label(1)}/evidence/20261105T000000000Z-drilled.json`
    await storage.put(closed, '{}')
    const read = storage.read.bind(storage)
    storage.read = async (key, options) => (key === closed ? Promise.reject(deniedError(key)) : read(key, options))
    const entry = await repository.open(label(1))
    expect(entry).to.include({level: 'verified'})
    expect(entry.evidence.map(({at}) => at)).to.deep.equal(['2026-11-02T00:00:00Z'])
    expect((await repository.latest({levelAtLeast: 'drilled'}))).to.equal(undefined)
  })

  it('finds the newest that is good enough', async () => {
    for (const day of [1, 2, 3]) await backup(day)
    await backup(4, {status: 'suspect'})
    await repository.addEvidence(label(1), evidence('drilled'))
    await repository.addEvidence(label(2), evidence('verified'))
    await backup(5)
    await repository.addEvidence(label(5), evidence('verified', false))
    expect((await repository.latest())?.label).to.equal(label(3))
    expect((await repository.latest({excludeSuspect: false}))?.label).to.equal(label(5))
    expect((await repository.latest({levelAtLeast: 'verified'}))?.label).to.equal(label(2))
    expect((await repository.latest({levelAtLeast: 'drilled'}))?.label).to.equal(label(1))
  })

  it('writes a manifest and a piece of evidence once', async () => {
    await backup(1)
    expect((await drErrorOf(repository.writeManifest(sampleManifest({label: label(1)})))).code).to.equal('storage.exists')
    const one = evidence('verified')
    await repository.addEvidence(label(1), one)
    expect((await drErrorOf(repository.addEvidence(label(1), one))).code).to.equal('storage.exists')
  })

  it('knows unfinished folders, with their lease', async () => {
    await backup(1)
    const lease = await repository.takeLease(label(2), {run: 'run-1', host: 'here', pid: 4711})
    await storage.put(`production/${label(2)}/toc.dat`, '12345')
    await storage.put(`production/${label(3)}/toc.dat`, '123')
    await storage.put(`production/${label(4)}/lease.json`, 'garbage')
    const [third, second, first] = await repository.unfinished()
    expect(third).to.include({label: label(4)}).and.not.have.property('lease')
    expect(second).to.include({label: label(3), bytes: 3}).and.not.have.property('lease')
    expect(first?.lease).to.include({run: 'run-1', host: 'here', pid: 4711})
    expect(first?.lastChange).to.be.instanceOf(Date)
    await lease.release()
  })

  it('removes a backup, its manifest first', async () => {
    await backup(1)
    await backup(2)
    const removed: string[] = []
    const remove = storage.remove.bind(storage)
    storage.remove = async (key, options) => {
      removed.push(key)
      return remove(key, options)
    }
    await repository.remove(label(1))
    expect(removed[0]).to.equal(`production/${label(1)}/manifest.json`)
    expect(await keysOf(storage, `production/${label(1)}`)).to.deep.equal([])
    expect(await repository.labels()).to.deep.equal([label(2)])
  })

  it('stops listing when it is aborted', async () => {
    await backup(1)
    const reason = new DrError('interrupted', 'Interrupted.')
    expect(await drErrorOf(repository.labels({signal: AbortSignal.abort(reason)}))).to.equal(reason)
    expect(await drErrorOf(repository.open(label(1), {signal: AbortSignal.abort(reason)}))).to.equal(reason)
  })
})

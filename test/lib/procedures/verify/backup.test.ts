import {expect} from 'chai'
import {cp, readdir, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {DrError} from '../../../../src/lib/errors.ts'
import {Repository} from '../../../../src/lib/repository/repository.ts'
import {LocalStorage} from '../../../../src/lib/repository/storage/local.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {backupFixture} from './backup-fixture.ts'
import {errorsOf, verify} from './verifying.ts'

const storageError = (code: string) => new DrError(code, `A test says ${code}.`, {exitCode: 5})

describe('dr verify of a backup', () => {
  const made = backupFixture('verify_backup')

  for (const compress of ['zstd:1', 'gzip:1', 'none']) {
    it(`passes a whole one (${compress}), quick and full, and notes it`, async () => {
      await made.take(compress)
      for (const level of ['quick', 'full'] as const) {
        const state = await made.check(level)
        const [result] = state.verified
        expect(errorsOf(state)).to.deep.equal([])
        expect(result).to.include({ok: true, level, kind: 'backup', label: made.label, storage: 'local'})
        expect(result?.evidence).to.match(/^evidence\/\d{8}T\d{9}Z-verified\.json$/)
        expect(result?.findings.map(({severity}) => severity)).to.not.include('warning')
      }
      const entry = await new Repository(made.storage(), 'development').open(made.label)
      expect(entry.level).to.equal('verified')
      expect(entry.evidence.map(({level, ok, by}) => [level, ok, by])).to.deep.equal([['quick', true, 'a test'], ['full', true, 'a test']])
      const bytes = entry.manifest.members.reduce((sum, member) => sum + member.bytes, 0)
      expect((await made.check()).verified[0]?.bytes).to.be.at.least(bytes)
    })
  }

  it('passes a copy in any folder, and finds that its manifest is missing', async () => {
    await made.take('zstd:1')
    const elsewhere = join(made.directory, 'a copy')
    await cp(made.folder, elsewhere, {recursive: true})
    const place = {kind: 'place', storage: new LocalStorage(made.directory), key: 'a copy'} as const
    const good = await verify({wanted: place, directory: made.directory})
    expect(good.verified[0]).to.include({ok: true, kind: 'backup', label: 'a copy', location: elsewhere})
    await rm(join(elsewhere, 'manifest.json'))
    expect(errorsOf(await verify({wanted: place, directory: made.directory}))).to.deep.equal(['manifest.json verify.manifest'])
  })

  it('verifies each copy by itself, and the newest label of all when asked for the latest', async () => {
    await made.take('zstd:1')
    const other = join(made.directory, 'other')
    await cp(join(made.directory, 'backups'), other, {recursive: true})
    const name = await made.dataOf('leads')
    await writeFile(join(other, 'development', made.label, name), 'x')
    const storages = [made.storage(), new LocalStorage(other)]
    const {verified} = await verify({wanted: {kind: 'latest'}, storages, directory: made.directory})
    expect(verified.map(({location, ok}) => [location, ok])).to.deep.equal([[made.folder, true], [join(other, 'development', made.label), false]])
    const newer = '20991122T020000Z-0001'
    await cp(made.folder, join(made.directory, 'backups', 'development', newer), {recursive: true})
    expect((await verify({wanted: {kind: 'latest'}, storages, directory: made.directory})).verified.map((one) => one.label)).to.deep.equal([newer])
    expect((await verify({wanted: {kind: 'all'}, storages, directory: made.directory, level: 'quick'})).verified.map((one) => one.label)).to.deep.equal([newer, made.label, made.label])
  })

  it('says what is not there', async () => {
    await made.take('zstd:1')
    expect(await drErrorOf(verify({wanted: {kind: 'label', label: '20200101T000000Z-0000'}, storages: [made.storage()], directory: made.directory}))).to.include({code: 'storage.not-found'})
    expect(await drErrorOf(verify({wanted: {kind: 'latest'}, storages: [new LocalStorage(join(made.directory, 'nothing'))], directory: made.directory}))).to.include({code: 'verify.none'})
    expect(await drErrorOf(verify({wanted: {kind: 'place', storage: new LocalStorage(made.directory), key: 'backups'}, directory: made.directory}))).to.include({code: 'storage.not-found'})
  })

  it('is a success with a notice where the result cannot be noted', async () => {
    await made.take('zstd:1')
    const readOnly = new Proxy(made.storage(), {
      get: (target, name) => {
        if (name === 'put') return () => Promise.reject(storageError('storage.denied'))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const state = await verify({wanted: {kind: 'label', label: made.label}, storages: [readOnly], directory: made.directory})
    expect(state.verified[0]).to.include({ok: true, evidence: null})
    expect(state.notices.join('\n')).to.include('could not be noted')
  })

  it('stops at once when it is interrupted, and notes nothing', async () => {
    await made.take('zstd:1')
    const stop = new AbortController()
    stop.abort(new Error('stopped'))
    const error: unknown = await verify({wanted: {kind: 'label', label: made.label}, storages: [made.storage()], directory: made.directory, signal: stop.signal}).catch((thrown: unknown) => thrown)
    expect((error as Error).message).to.equal('stopped')
    expect(await readdir(made.folder)).to.not.include('evidence')
    expect(await readdir(join(made.directory, 'run'))).to.deep.equal([])
  })

  it('goes on with the other places when a store breaks off in one, and fails when it does in all', async () => {
    await made.take('zstd:1')
    const newer = '20991122T020000Z-0001'
    await cp(made.folder, join(made.directory, 'backups', 'development', newer), {recursive: true})
    const breaking = (broken: (key: string) => boolean) => new Proxy(made.storage(), {
      get: (target, property) => {
        if (property === 'kind') return 's3'
        if (property === 'read') return (key: string) => (broken(key) ? Promise.reject(storageError('storage.unreachable')) : target.read(key))
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const all = (broken: (key: string) => boolean) => verify({wanted: {kind: 'all'}, storages: [breaking(broken)], directory: made.directory})
    const state = await all((key) => key.includes(newer) && key.endsWith('.zst'))
    expect(state.verified.map(({label, ok}) => [label, ok])).to.deep.equal([[made.label, true]])
    expect(state.unreachable.map(({location, code}) => [location, code])).to.deep.equal([[join(made.directory, 'backups', 'development', newer), 'storage.unreachable']])
    expect(state.notices.join('\n')).to.include(newer)
    expect(await drErrorOf(all((key) => key.endsWith('.zst')))).to.include({code: 'storage.unreachable'})
  })

  it('tells a file that cannot be read from a store that cannot be reached', async () => {
    await made.take('zstd:1')
    const name = await made.dataOf('leads')
    const broken = (code: string, kind: 'local' | 's3') => new Proxy(made.storage(), {
      get: (target, property) => {
        if (property === 'kind') return kind
        if (property === 'read') return (key: string) => (key.endsWith(name) ? Promise.reject(storageError(code)) : target.read(key))
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const wanted = {kind: 'label', label: made.label} as const
    expect(errorsOf(await verify({wanted, storages: [broken('storage.unreachable', 'local')], directory: made.directory}))).to.deep.equal([`${name} verify.unreadable`])
    expect(errorsOf(await verify({wanted, storages: [broken('storage.corrupt', 's3')], directory: made.directory}))).to.deep.equal([`${name} verify.unreadable`])
    expect(await drErrorOf(verify({wanted, storages: [broken('storage.unreachable', 's3')], directory: made.directory}))).to.include({code: 'storage.unreachable'})
  })
})

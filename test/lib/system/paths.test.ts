import {expect} from 'chai'
import {mkdir, stat, writeFile} from 'node:fs/promises'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {compactUtc, systemClock} from '../../../src/lib/system/clock.ts'
import {absolute, ensurePrivateFolder} from '../../../src/lib/system/paths.ts'
import {ownIdentity, stillRuns} from '../../../src/lib/system/process-identity.ts'
import {temporaryFolder} from '../../support/temporary.ts'

describe('paths', () => {
  const folder = temporaryFolder()

  it('start at the home folder, at the root, or at the base', () => {
    expect(absolute('~/a', '/base')).to.equal(join(homedir(), 'a'))
    expect(absolute('~', '/base')).to.equal(homedir())
    expect(absolute('/a', '/base')).to.equal('/a')
    expect(absolute('a/../b', '/base')).to.equal('/base/b')
    expect(absolute('~a', '/base')).to.equal('/base/~a')
  })

  it('are made for this user only, with their parents, again and at once', async () => {
    const path = join(folder.path, 'a', 'b', 'c')
    await Promise.all([ensurePrivateFolder(path), ensurePrivateFolder(path), ensurePrivateFolder(join(folder.path, 'a', 'b', 'd'))])
    for (const part of [path, join(folder.path, 'a')]) expect((await stat(part)).mode & 0o777).to.equal(0o700)
  })

  it('keep the mode of a folder that exists', async () => {
    await mkdir(join(folder.path, 'open'), {mode: 0o755})
    await ensurePrivateFolder(join(folder.path, 'open'))
    expect((await stat(join(folder.path, 'open'))).mode & 0o777).to.equal(0o755)
  })

  it('fail where there cannot be a folder, instead of trying for ever', async () => {
    await writeFile(join(folder.path, 'file'), '')
    for (const path of ['/proc/dr/x/y', join(folder.path, 'file'), join(folder.path, 'file', 'x')]) {
      const error: unknown = await ensurePrivateFolder(path).then(() => undefined, (error: unknown) => error)
      expect(error, path).to.have.property('code')
    }
  })
})

describe('clock', () => {
  it('names a time so that names sort by it', () => {
    expect(compactUtc(new Date('2026-11-22T02:00:00.123Z'))).to.equal('20261122T020000Z')
  })

  it('grows', () => {
    const before = systemClock.elapsed()
    expect(systemClock.elapsed()).to.be.at.least(before)
    expect(Math.abs(systemClock.now().getTime() - Date.now())).to.be.below(1000)
  })
})

describe('process identity', () => {
  it('knows this process, and not another one with the same number', () => {
    expect(stillRuns(ownIdentity())).to.equal(true)
    expect(stillRuns({...ownIdentity(), ticks: '1'})).to.equal(false)
    expect(stillRuns({...ownIdentity(), host: 'elsewhere'})).to.equal(false)
    expect(stillRuns({...ownIdentity(), pid: 2 ** 22 + 1})).to.equal(false)
  })
})

import {expect} from 'chai'
import {readFile, rename, rm, truncate, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {sha256Of} from '../../../../src/lib/repository/checksum.ts'
import {backupFixture} from './backup-fixture.ts'
import {errorsOf, seeded} from './verifying.ts'

const SEED = 20_261_122

describe('what dr verify finds in a damaged backup', () => {
  const made = backupFixture('verify_damage')

  it('finds and names one flipped bit, wherever it is', async function () {
    this.timeout(60_000)
    await made.take('zstd:1')
    const random = seeded(SEED)
    for (const name of await made.members()) {
      const path = made.path(name)
      const whole = await readFile(path)
      const places = [0, whole.length - 1, ...Array.from({length: name === 'manifest.json' ? 40 : 2}, () => Math.floor(random() * whole.length))]
      for (const at of places) {
        const damaged = Buffer.from(whole)
        damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random() * 8))
        await writeFile(path, damaged)
        const state = await made.check('full', undefined)
        expect(errorsOf(state).map((error) => error.split(' verify.')[0]), `${name}, byte ${at} of ${whole.length}, seed ${SEED}`).to.include(name)
        expect(state.verified[0]?.ok).to.equal(false)
        if (name !== 'manifest.json') expect(errorsOf(state), `${name}, byte ${at}`).to.deep.equal([`${name} verify.sha256`])
      }
      await writeFile(path, whole)
    }
    expect(errorsOf(await made.check())).to.deep.equal([])
  })

  it('finds every single flipped bit in the seal of the manifest and around it', async () => {
    await made.take('none')
    const path = made.path('manifest.json')
    const whole = await readFile(path)
    for (let back = 1; back <= 100; back += 3) {
      const damaged = Buffer.from(whole)
      damaged[whole.length - back] = (damaged[whole.length - back] ?? 0) ^ 1
      await writeFile(path, damaged)
      expect(errorsOf(await made.check('quick', undefined)), `byte ${back} from the end`).to.include('manifest.json verify.manifest')
    }
  })

  it('finds one that is cut off by a byte, at both levels', async () => {
    await made.take('gzip:1')
    for (const name of [await made.dataOf('leads'), 'toc.dat', 'globals.sql', 'recover.sh']) {
      const whole = await readFile(made.path(name))
      await truncate(made.path(name), whole.length - 1)
      for (const level of ['quick', 'full'] as const) expect(errorsOf(await made.check(level)), name).to.deep.equal([`${name} verify.size`])
      await writeFile(made.path(name), whole)
    }
  })

  it('finds one that is cut off at the end of a row, without compression', async () => {
    await made.take('none')
    const name = await made.dataOf('leads')
    const whole = await readFile(made.path(name))
    const rowEnd = whole.indexOf('\n', whole.length >> 1) + 1
    await truncate(made.path(name), rowEnd)
    expect(errorsOf(await made.check())).to.deep.equal([`${name} verify.size`])
    // And when it was stored like that, so that size and SHA-256 agree.
    await made.pretend(({members: list}) => {
      for (const member of list) if (member.name === name) Object.assign(member, {bytes: rowEnd, sha256: sha256Of(whole.subarray(0, rowEnd))})
    })
    expect(errorsOf(await made.check())).to.deep.equal([`${name} verify.copy-end`])
  })

  it('finds a stream that was stored damaged although its SHA-256 agrees', async () => {
    await made.take('zstd:1')
    const name = await made.dataOf('leads')
    const cut = (await readFile(made.path(name))).subarray(0, -3)
    await writeFile(made.path(name), cut)
    await made.pretend(({members: list}) => {
      for (const member of list) if (member.name === name) Object.assign(member, {bytes: cut.length, sha256: sha256Of(cut)})
    })
    expect(errorsOf(await made.check())).to.deep.equal([`${name} verify.compression`])
  })

  it('finds each member that is missing, at both levels', async () => {
    await made.take('zstd:1')
    for (const name of (await made.members()).filter((one) => one !== 'manifest.json')) {
      await rename(made.path(name), join(made.directory, 'aside'))
      for (const level of ['quick', 'full'] as const) expect(errorsOf(await made.check(level))).to.deep.equal([`${name} verify.missing`])
      await rename(join(made.directory, 'aside'), made.path(name))
    }
  })

  it('finds what does not belong, and lets a lease and evidence be', async () => {
    await made.take('zstd:1')
    await writeFile(made.path('lease.json'), '{}')
    expect(errorsOf(await made.check('quick'))).to.deep.equal([])
    for (const name of ['9999.dat.zst', 'blob_1.dat.zst', 'notes.txt', 'evidence/other.txt']) {
      await writeFile(made.path(name), 'x')
      for (const level of ['quick', 'full'] as const) expect(errorsOf(await made.check(level))).to.deep.equal([`${name} verify.extra`])
      await rm(made.path(name))
    }
  })

  it('finds members that were swapped, and names both', async () => {
    await made.take('none')
    const [one, two] = [await made.dataOf('leads'), await made.dataOf('empty')]
    await rename(made.path(one), join(made.directory, 'aside'))
    await rename(made.path(two), made.path(one))
    await rename(join(made.directory, 'aside'), made.path(two))
    expect(errorsOf(await made.check())).to.have.members([`${one} verify.size`, `${two} verify.size`])
    // Of one size: only the bytes tell.
    await made.take('none')
    const [first = '', second = '', ...more] = (await made.members()).filter((name) => name.startsWith('blob_')).toSorted()
    expect(more).to.deep.equal([])
    await rename(made.path(first), join(made.directory, 'aside'))
    await rename(made.path(second), made.path(first))
    await rename(join(made.directory, 'aside'), made.path(second))
    expect(errorsOf(await made.check())).to.deep.equal([first, second].map((name) => `${name} verify.sha256`))
  })
})

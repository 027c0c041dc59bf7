import {expect} from 'chai'
import type {ArchiveEntry} from '../../../../src/lib/postgres/archive.ts'
import {isLargeObjectMember, loadUnits} from '../../../../src/lib/procedures/restore/units.ts'
import {DrError} from '../../../../src/lib/errors.ts'

const entry = (dumpId: number): ArchiveEntry => ({dumpId, kind: 'TABLE DATA', section: 'data', tag: `t${dumpId}`, schema: 'public', owner: 'o', definition: '', copyStatement: undefined, dependencies: [], file: `${dumpId}.dat`})
const manifestOf = (sizes: Record<string, number>) => ({label: 'l', members: Object.entries(sizes).map(([name, bytes]) => ({name, bytes, sha256: ''}))})

describe('what one pg_restore loads', () => {
  it('is one large table each, the largest first, and small ones together', () => {
    const sizes = {'1.dat.zst': 10, '2.dat.zst': 5_000_000, '3.dat.zst': 9_000_000, '4.dat.zst': 20, '5.dat.zst': 30, '6.dat.zst': 40, '7.dat.zst': 50}
    const units = loadUnits([1, 2, 3, 4, 5, 6, 7].map(entry), manifestOf(sizes), 2)
    expect(units.map(({entries}) => entries.map(({dumpId}) => dumpId))).to.deep.equal([[3], [2], [7, 6], [5, 4], [1]])
    expect(units.map(({bytes}) => bytes)).to.deep.equal([9_000_000, 5_000_000, 90, 50, 10])
    expect(units[2]?.members.map(({name}) => name)).to.deep.equal(['7.dat.zst', '6.dat.zst'])
  })

  it('holds no more than a few megabytes of small tables', () => {
    const numbers = Array.from({length: 40}, (_, index) => index + 1)
    const units = loadUnits(numbers.map(entry), manifestOf(Object.fromEntries(numbers.map((number) => [`${number}.dat`, 900_000]))), 1)
    expect(Math.max(...units.map(({bytes}) => bytes))).to.be.at.most(4_000_000)
    expect(units.flatMap(({entries}) => entries)).to.have.length(40)
  })

  it('finds members of every compression, and says when one is not in the manifest', () => {
    for (const suffix of ['', '.gz', '.zst', '.lz4']) expect(loadUnits([entry(1)], manifestOf({[`1.dat${suffix}`]: 1}), 1)[0]?.members[0]?.name).to.equal(`1.dat${suffix}`)
    expect(() => loadUnits([entry(1)], manifestOf({'11.dat': 1}), 1)).to.throw(DrError).that.includes({code: 'restore.member-missing', exitCode: 4})
  })

  it('is not for large objects', () => {
    expect(['blobs.toc', 'blobs_12.toc', 'blob_4711.dat', 'blob_4711.dat.zst'].every(isLargeObjectMember)).to.equal(true)
    expect(['toc.dat', '4711.dat.zst', 'globals.sql', 'recover.sh', 'RECOVER.md'].some(isLargeObjectMember)).to.equal(false)
  })
})

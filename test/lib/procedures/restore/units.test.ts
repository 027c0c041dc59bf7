import {expect} from 'chai'
import type {ArchiveEntry} from '../../../../src/lib/postgres/archive.ts'
import {fetchOrder, isLargeObjectMember, loadUnits, type LoadUnit} from '../../../../src/lib/procedures/restore/units.ts'
import type {TableBuilds} from '../../../../src/lib/postgres/restore-lists.ts'
import {DrError} from '../../../../src/lib/errors.ts'

const entry = (dumpId: number): ArchiveEntry => ({dumpId, kind: 'TABLE DATA', section: 'data', tag: `t${dumpId}`, schema: 'public', owner: 'o', definition: '', copyStatement: undefined, dependencies: [], file: `${dumpId}.dat`})
const lists = (...numbers: number[]) => ({data: numbers.map(entry), builds: new Map<number, TableBuilds>()})
const manifestOf = (sizes: Record<string, number>) => ({label: 'l', members: Object.entries(sizes).map(([name, bytes]) => ({name, bytes, sha256: ''}))})

describe('what one pg_restore loads', () => {
  it('is one large table each, the largest first, and small ones together', () => {
    const sizes = {'1.dat.zst': 10, '2.dat.zst': 5_000_000, '3.dat.zst': 9_000_000, '4.dat.zst': 20, '5.dat.zst': 30, '6.dat.zst': 40, '7.dat.zst': 50}
    const units = loadUnits(lists(1, 2, 3, 4, 5, 6, 7), manifestOf(sizes), 2)
    expect(units.map(({entries}) => entries.map(({dumpId}) => dumpId))).to.deep.equal([[3], [2], [7, 6], [5, 4], [1]])
    expect(units.map(({bytes}) => bytes)).to.deep.equal([9_000_000, 5_000_000, 90, 50, 10])
    expect(units[2]?.members.map(({name}) => name)).to.deep.equal(['7.dat.zst', '6.dat.zst'])
  })

  it('holds no more than a few megabytes of small tables', () => {
    const numbers = Array.from({length: 40}, (_, index) => index + 1)
    const units = loadUnits(lists(...numbers), manifestOf(Object.fromEntries(numbers.map((number) => [`${number}.dat`, 900_000]))), 1)
    expect(Math.max(...units.map(({bytes}) => bytes))).to.be.at.most(4_000_000)
    expect(units.flatMap(({entries}) => entries)).to.have.length(40)
  })

  it('finds members of every compression, and says when one is not in the manifest', () => {
    for (const suffix of ['', '.gz', '.zst', '.lz4']) expect(loadUnits(lists(1), manifestOf({[`1.dat${suffix}`]: 1}), 1)[0]?.members[0]?.name).to.equal(`1.dat${suffix}`)
    expect(() => loadUnits(lists(1), manifestOf({'11.dat': 1}), 1)).to.throw(DrError).that.includes({code: 'restore.member-missing', exitCode: 4})
  })

  it('brings keys along, and leaves the indexes of a large table in portions to others', () => {
    const [first, second] = [entry(1), entry(2)]
    const built = (from: number, count: number) => Array.from({length: count}, (_, index) => entry(from + index))
    const builds = new Map([[1, {keys: built(10, 1), indexes: built(100, 9)}], [2, {keys: built(20, 1), indexes: built(200, 3)}]])
    const [large, small] = loadUnits({data: [first, second], builds}, manifestOf({'1.dat': 50_000_000, '2.dat': 5}), 2)
    const ids = (entries: readonly ArchiveEntry[] = []) => entries.map(({dumpId}) => dumpId)
    expect(ids(large?.keys)).to.deep.equal([10])
    expect(large?.indexes.map(ids)).to.deep.equal([[100, 104, 108], [101, 105], [102, 106], [103, 107]])
    expect(ids(small?.keys)).to.deep.equal([20, 200, 201, 202])
    expect(small?.indexes).to.deep.equal([])
  })

  it('starts no process for an index that is built in a moment', () => {
    const builds = new Map([[1, {keys: [], indexes: Array.from({length: 9}, (_, index) => entry(100 + index))}]])
    expect(loadUnits({data: [entry(1)], builds}, manifestOf({'1.dat': 1_000_000}), 8)[0]?.indexes.map(({length}) => length)).to.deep.equal([3, 2, 2, 2])
  })

  it('is fetched with what is quickly there first, and of two alike with what gives most to do', () => {
    const sized = (bytes: number, indexes = 0): LoadUnit => ({entries: [], members: [], bytes, keys: [], indexes: [Array.from({length: indexes}, (_, index) => entry(index))]})
    const order = (...units: LoadUnit[]) => fetchOrder(units).map(({bytes}) => bytes)
    expect(order(sized(100), sized(60), sized(5), sized(30))).to.deep.equal([5, 30, 60, 100])
    expect(order(sized(28, 12), sized(22, 4), sized(10, 5)), 'the larger one has so many indexes that it comes first').to.deep.equal([10, 28, 22])
    expect(order()).to.deep.equal([])
  })

  it('is not for large objects', () => {
    expect(['blobs.toc', 'blobs_12.toc', 'blob_4711.dat', 'blob_4711.dat.zst'].every(isLargeObjectMember)).to.equal(true)
    expect(['toc.dat', '4711.dat.zst', 'globals.sql', 'recover.sh', 'RECOVER.md'].some(isLargeObjectMember)).to.equal(false)
  })
})

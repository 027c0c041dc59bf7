import {expect} from 'chai'
import {readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {parseArchive} from '../../../src/lib/postgres/archive.ts'
import {rewriteToc} from '../../../src/lib/postgres/archive-rewrite.ts'
import {withClient} from '../../../src/lib/postgres/connection.ts'
import {runTool} from '../../../src/lib/system/tool.ts'
import {createAwkwardDatabase} from '../../support/awkward.ts'
import {testCluster} from '../../support/cluster.ts'
import {stockArchive, type StockArchive} from '../../support/restore-once.ts'
import {clientTools} from '../../support/tools.ts'

for (const major of [17, 18] as const) {
  describe(`a rewritten table of contents of pg_dump ${major}`, function () {
    this.timeout(60_000)
    let stock: StockArchive
    let toc: Buffer
    before(async () => {
      const cluster = await testCluster({major: 17})
      const {url} = await createAwkwardDatabase(cluster, 'rewritten')
      await withClient(url, {}, (client) => client.query('SELECT 1'))
      stock = await stockArchive(url, {major})
      toc = await readFile(join(stock.directory, 'toc.dat'))
      await cluster.drop('rewritten')
    })
    after(() => stock.remove())

    it('is the same bytes when nothing changes, or everything into itself', () => {
      expect(rewriteToc(toc, () => ({})).equals(toc)).to.equal(true)
      expect(rewriteToc(toc, ({definition, owner}) => (owner === undefined ? {} : {definition, owner})).length).to.equal(toc.length)
      expect(parseArchive(rewriteToc(toc, ({definition}) => ({definition}))).entries).to.deep.equal(parseArchive(toc).entries)
    })

    it('differs in what was changed alone, and pg_restore reads it', async () => {
      const changed = rewriteToc(toc, ({kind, owner}) => ({...(owner === 'awkward_owner' && {owner: 'somebody else, länger'}), ...(kind === 'POLICY' && {definition: 'SELECT 1'})}))
      const expected = parseArchive(toc).entries.map((entry) => ({...entry, ...(entry.owner === 'awkward_owner' && {owner: 'somebody else, länger'}), ...(entry.kind === 'POLICY' && {definition: 'SELECT 1'})}))
      expect(parseArchive(changed).entries).to.deep.equal(expected)
      await writeFile(join(stock.directory, 'toc.dat'), changed)
      const {code, stdout} = await runTool([join(await clientTools(major), 'pg_restore'), '--list', stock.directory])
      expect(code).to.equal(0)
      expect(stdout).to.contain('somebody else, länger').and.not.contain('awkward_owner')
    })
  })
}

import {expect} from 'chai'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'

const NAME = 'dr_relink_live'
const SCHEMA = `
  CREATE TABLE par (id int PRIMARY KEY, v text);
  CREATE TABLE kid (id int PRIMARY KEY, par_id int REFERENCES par ON DELETE SET NULL)`
const ROWS = "TRUNCATE par, kid; INSERT INTO par SELECT g, 'p' FROM generate_series(1, 20) g; INSERT INTO kid SELECT g, g FROM generate_series(1, 20) g"

describe('--relink in the database that was backed up', function () {
  this.timeout(300_000)
  let cluster: TestCluster
  let [url, directory] = ['', '']
  const inIt = <T>(sql: string) => withClient(url, {}, async (client) => (await client.query(sql)).rows as T[])
  const links = () => inIt('SELECT id, par_id AS link FROM kid WHERE id IN (1, 10, 11) ORDER BY id')
  const run = async (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => {
    const {state, error} = await runPartial({url, directory, way: 'missing', ...more})
    if (error) throw error
    return state
  }
  const unlinked = ({comparison}: Awaited<ReturnType<typeof run>>) => comparison?.closure.filter(({kind}) => kind === 'unlinked').map(({table, rows}) => [table.name, rows])

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase(NAME)
    directory = await temporaryFolder(NAME)
    await inIt(`${SCHEMA}; ${ROWS}`)
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
  })
  after(async () => {
    await cluster.drop(NAME)
    await removeFolder(directory)
  })

  for (const stage of ['schema', 'database'] as const) {
    it(`leaves alone what was detached on purpose, though its parent was edited since, and links what a repair has brought back (--stage ${stage})`, async () => {
      await inIt(ROWS)
      await inIt("DELETE FROM par WHERE id = 1; UPDATE kid SET par_id = NULL WHERE id IN (10, 11); UPDATE par SET v = 'edited' WHERE id = 10")
      const told = await run({wish: {tables: ['par']}, stage})
      expect(told.comparison?.closure.filter(({kind}) => kind === 'detached').map(({rows}) => rows)).to.deep.equal([1])
      expect(unlinked(told)).to.deep.equal([['kid', 2]])
      // What came back may be edited, too, before somebody thinks of the links.
      await inIt("UPDATE par SET v = 'edited' WHERE id IN (1, 10)")
      expect(unlinked(await run({wish: {tables: ['par'], relink: true}, stage}))).to.deep.equal([['kid', 2]])
      expect(await links()).to.deep.equal([{id: 1, link: 1}, {id: 10, link: null}, {id: 11, link: null}])
    })
  }
})

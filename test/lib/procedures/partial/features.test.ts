import {expect} from 'chai'
import {createServer, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import nock from 'nock'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {featureFindings, featuresOf, lookAtFeatures} from '../../../../src/lib/procedures/partial/features.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'

const DATABASE = 'dr_features'

describe('checks of features', function () {
  this.timeout(60_000)
  let cluster: TestCluster
  let server: Server
  let base = ''
  let url = ''

  before(async () => {
    cluster = await testCluster()
    url = await cluster.createDatabase(DATABASE)
    await withClient(url, {}, (client) => client.query("CREATE TABLE leads (id int PRIMARY KEY, title text); INSERT INTO leads SELECT i, CASE WHEN i <= 150 THEN '' ELSE 'x' END FROM generate_series(1, 200) i"))
    nock.enableNetConnect('127.0.0.1')
    server = createServer((request, response) => {
      if (request.url === '/silent') return
      response.writeHead(request.url === '/moved' ? 302 : request.url === '/ready' ? 200 : 503, {location: '/ready'}).end('x')
    })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  after(async () => {
    nock.disableNetConnect()
    server.closeAllConnections()
    server.close()
    await cluster.drop(DATABASE)
  })

  const look = async (feature: {sql?: string; url?: string; expect?: number}, signal = new AbortController().signal) =>
    (await lookAtFeatures([{name: 'one', ...feature}], {target: parseTarget(url), applicationName: 'dr test', signal}))[0]

  it('fail by the rows of a query, and show the first', async () => {
    expect(await look({sql: "SELECT id, title FROM leads WHERE title = 'none'"})).to.include({outcome: 'good'})
    expect(await look({sql: "SELECT id, title FROM leads WHERE id = 7;"})).to.include({outcome: 'bad', found: '1 row is wrong, the first: id=7, title='})
    expect(await look({sql: "SELECT id FROM leads WHERE title = '' ORDER BY id"})).to.include({outcome: 'bad', found: 'more than 100 rows are wrong, the first: id=1'})
  })

  it('never write, and are one statement', async () => {
    for (const sql of ['DELETE FROM leads RETURNING id', 'WITH gone AS (DELETE FROM leads RETURNING id) SELECT * FROM gone', 'SELECT 1; COMMIT; DELETE FROM leads', "SELECT setval('x', 1)"]) {
      expect(await look({sql}), sql).to.include({outcome: 'untold'})
    }
    expect((await withClient(url, {}, (client) => client.query('SELECT FROM leads'))).rowCount).to.equal(200)
  })

  it('ask a URL, and take its status', async () => {
    expect(await look({url: `${base}/ready`})).to.include({outcome: 'good', found: 'answers 200'})
    expect(await look({url: `${base}/health`})).to.include({outcome: 'bad', found: 'answers 503, not 200'})
    expect(await look({url: `${base}/health`, expect: 503})).to.include({outcome: 'good'})
    expect(await look({url: `${base}/moved`})).to.include({outcome: 'bad', found: 'answers 302, not 200'})
    expect((await look({url: 'http://127.0.0.1:1/'}))?.found).to.match(/^does not answer: /)
  })

  it('end with an abort, in the middle of a URL that is silent', async () => {
    const controller = new AbortController()
    const looked = look({url: `${base}/silent`}, controller.signal)
    await new Promise((resolve) => { server.once('request', resolve) })
    controller.abort(new Error('enough'))
    expect(await looked.catch((error: unknown) => (error as Error).message)).to.equal('enough')
  })

  it('are those of the tables concerned, or of all', () => {
    const checks = [{name: 'all', sql: 'x'}, {name: 'leads', sql: 'x', tables: ['leads']}, {name: 'calls', sql: 'x', tables: ['crm.calls']}]
    const names = (...tables: {schema: string; name: string}[]) => featuresOf(checks, tables).map(({name}) => name)
    expect(names({schema: 'public', name: 'leads'})).to.deep.equal(['all', 'leads'])
    expect(names({schema: 'crm', name: 'calls'})).to.deep.equal(['all', 'calls'])
    expect(names({schema: 'public', name: 'calls'})).to.deep.equal(['all'])
  })

  it('become findings: what is wrong an error, what could not be looked at a warning', () => {
    expect(featureFindings([{name: 'a', outcome: 'good', found: 'x', ms: 1}, {name: 'b', outcome: 'bad', found: 'y', ms: 1}, {name: 'c', outcome: 'untold', found: 'z', ms: 1}])).to.deep.equal([
      {code: 'partial.feature', severity: 'ok', subject: 'a', message: 'x'}, {code: 'partial.feature', severity: 'error', subject: 'b', message: 'y'}, {code: 'partial.feature', severity: 'warning', subject: 'c', message: 'could not be looked at: z'},
    ])
  })
})

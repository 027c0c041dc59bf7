import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, type Client} from '../../../src/lib/postgres/connection.ts'
import {copyIn, copyText} from '../../../src/lib/postgres/copy.ts'
import {testCluster} from '../../support/cluster.ts'

describe('copyIn', () => {
  let client: Client
  before(async () => {
    client = await connect(await (await testCluster()).createDatabase('copy'))
    await client.query('CREATE TABLE target (id int, word text)')
  })
  beforeEach(() => client.query('TRUNCATE target'))
  after(() => endQuietly(client))

  it('loads escaped text as it is', async () => {
    const words = ['tab\there', String.raw`back\slash`, 'line\nbreak\r', String.raw`\N`, String.raw`\.`, 'ünïcödé 中文', '']
    expect(await copyIn(client, 'COPY target FROM STDIN', words.map((word, index) => `${index}\t${copyText(word)}\n`))).to.equal(words.length)
    expect((await rowsOf<{word: string}>(client, 'SELECT word FROM target ORDER BY id')).map(({word}) => word)).to.deep.equal(words)
  })

  it('loads more than one buffer, from an asynchronous source', async () => {
    async function* rows() {
      for (let id = 0; id < 20_000; id += 1) yield `${id}\t${'x'.repeat(20)}\n`
    }
    expect(await copyIn(client, 'COPY target FROM STDIN', rows())).to.equal(20_000)
  })

  it('leaves nothing when the source fails, and the connection stays usable', async () => {
    function* rows() {
      for (let id = 0; id < 20_000; id += 1) yield `${id}\tx\n`
      throw new Error('no more')
    }
    const failure: unknown = await copyIn(client, 'COPY target FROM STDIN', rows()).catch((error: unknown) => error)
    expect(failure).to.be.an('error').with.property('message', 'no more')
    expect((await rowOf<{count: string}>(client, 'SELECT count(*) FROM target')).count).to.equal('0')
  })

  it('stops when the signal is aborted', async () => {
    const controller = new AbortController()
    function* rows() {
      for (let id = 0; ; id += 1) {
        if (id === 10_000) controller.abort(new Error('enough'))
        yield `${id}\tx\n`
      }
    }
    const failure: unknown = await copyIn(client, 'COPY target FROM STDIN', rows(), controller.signal).catch((error: unknown) => error)
    expect(failure).to.be.an('error').with.property('message', 'enough')
    expect((await rowOf<{count: string}>(client, 'SELECT count(*) FROM target')).count).to.equal('0')
  })
})

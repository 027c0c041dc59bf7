import {expect} from 'chai'
import {createServer, connect as dial, type AddressInfo, type Server, type Socket} from 'node:net'
import {withClient} from '../../../src/lib/postgres/connection.ts'
import {assertNoPooler} from '../../../src/lib/postgres/pooler.ts'
import {parseTarget} from '../../../src/lib/postgres/target.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {testCluster} from '../../support/cluster.ts'

/** AuthenticationOk and ReadyForQuery. */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])

describe('the look for a pooler', () => {
  let url = ''
  before(async () => { url = await (await testCluster()).createDatabase('pooler') })
  const check = (port?: number) => {
    const target = {...parseTarget(url), ...(port !== undefined && {host: '127.0.0.1', port})}
    return withClient(target, {}, async (client) => {
      await client.query("SET application_name = 'kept'")
      await assertNoPooler(client, target)
      return (await client.query<{name: string}>("SELECT current_setting('application_name') AS name")).rows[0]?.name
    })
  }

  it('lets a direct connection pass, and leaves its name', async () => {
    expect(await check()).to.equal('kept')
  })

  it('finds one that gives two clients the same backend', async () => {
    const pooler = await sharing(parseTarget(url).port)
    expect(await drErrorOf(check(pooler.port))).to.include({code: 'postgres.pooler', exitCode: 3})
    pooler.close()
  })
})

/** As pgbouncer in transaction mode with a pool of one: the first client logs in at the server, every other one is let in at once and shares that session. */
async function sharing(serverPort: number): Promise<{port: number; close(): void}> {
  const backend = dial(serverPort, '127.0.0.1')
  const clients: Socket[] = []
  let asking: Socket | undefined
  backend.on('data', (answer: Buffer) => { asking?.write(answer) })
  const server: Server = createServer((client) => {
    const first = clients.length === 0
    let begun = false
    clients.push(client)
    client.on('error', () => {})
    client.on('data', (message: Buffer) => {
      if (!begun && !first) client.write(WELCOME)
      else if (message[0] !== 0x58) {
        asking = client
        backend.write(message)
      } else client.end()
      begun = true
    })
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const close = () => {
    for (const socket of [backend, ...clients]) socket.destroy()
    server.close()
  }
  return {port: (server.address() as AddressInfo).port, close}
}

import {expect} from 'chai'
import {createServer, connect as dial, type AddressInfo, type Socket} from 'node:net'
import {connect, endQuietly, rowOf} from '../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../src/lib/postgres/target.ts'
import {testCluster} from '../../support/cluster.ts'
import {until} from '../../support/until.ts'

describe('a connection', () => {
  it('ends in seconds when its network is dead', async () => {
    const {adminUrl, port: serverPort} = await testCluster()
    const sockets: Socket[] = []
    let dead = false
    let closed = false
    const server = createServer({allowHalfOpen: true}, (client) => {
      const backend = dial(serverPort, '127.0.0.1')
      sockets.push(client, backend)
      client.on('data', (data: Buffer) => { if (!dead) backend.write(data) })
      client.on('error', () => {})
      client.on('close', () => { closed = true })
      backend.on('data', (data: Buffer) => { if (!dead) client.write(data) })
    })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    const client = await connect({...parseTarget(adminUrl), host: '127.0.0.1', port: (server.address() as AddressInfo).port})
    expect(await rowOf(client, 'SELECT 1 AS one')).to.deep.equal({one: 1})
    dead = true
    const from = performance.now()
    await endQuietly(client)
    expect(performance.now() - from).to.be.within(0, 6000)
    // Only a socket that is gone answers so.
    await until(() => {
      if (!closed) sockets[0]?.write('x')
      return closed
    })
    for (const socket of sockets) socket.destroy()
    server.close()
  })
})

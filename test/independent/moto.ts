import {spawn} from 'node:child_process'
import {guard} from '../support/guard.ts'
import {until} from '../support/until.ts'
import {end, freePort} from './daemon.ts'

export interface Moto {
  endpoint: string
  /** Of moto's own default VPC. */
  subnets: string[]
  stop: () => Promise<void>
}

const INSTALL = "pip install 'moto[server]>=5.2,<6', or on Debian sid apt-get install python3-moto python3-flask python3-flask-cors"

/** moto's server, an imitation of AWS that is not ours, on a port of its own. It must be on the PATH. */
export async function startMoto(): Promise<Moto> {
  const port = await freePort()
  const server = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], {stdio: ['ignore', 'ignore', 'pipe'], env: {...process.env, PYTHONUNBUFFERED: '1'}})
  const said: string[] = []
  server.stderr.setEncoding('utf8').on('data', (text: string) => { said.push(text) })
  let failure: Error | undefined
  server.on('error', (error) => { failure = error })
  const release = guard('[ -n "$1" ] && kill "$1"', String(server.pid ?? ''))
  const stop = async () => {
    if (failure === undefined) await end(server)
    release()
  }
  const endpoint = `http://127.0.0.1:${port}`
  try {
    await until(async () => {
      if (failure) throw new Error(`moto_server cannot be started (${failure.message}): ${INSTALL}`)
      if (server.exitCode !== null) throw new Error(`moto_server ended with ${server.exitCode}: ${said.join('').slice(-2000)}\n${INSTALL}`)
      return fetch(endpoint).then(() => true, () => false)
    }, 60_000)
    return {endpoint, subnets: await subnetsOf(endpoint), stop}
  } catch (error) {
    await stop()
    throw error
  }
}

/** No client of EC2 is among our packages. moto reads of a signature only for which service it is. */
async function subnetsOf(endpoint: string): Promise<string[]> {
  const authorization = 'AWS4-HMAC-SHA256 Credential=moto/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=none'
  const answer = await fetch(endpoint, {method: 'POST', headers: {authorization, 'content-type': 'application/x-www-form-urlencoded'}, body: 'Action=DescribeSubnets&Version=2016-11-15'})
  return [...(await answer.text()).matchAll(/<subnetId>([^<]+)/g)].map(([, id = '']) => id)
}

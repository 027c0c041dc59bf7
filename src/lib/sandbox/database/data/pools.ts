/** What people, deals and devices are called. One name holds an apostrophe, one a backslash, one is not Latin. */
export const FIRST = ['Aziz', 'Dilnoza', 'Jasur', 'Madina', 'Otabek', 'Sevara', 'Timur', 'Zarina', 'Ольга', 'Бахром', 'Nigora', 'Sardor', "D'Artagnan", 'Kamola', 'Rustam', 'Lola']
export const LAST = ['Karimov', 'Yusupova', "O'Brien", 'Rahimov', 'Tursunova', 'Ergashev', 'Ким', 'Saidov', 'Nazarova', 'Абдуллаев', 'Ismoilov', 'Müller', 'Xo‘jayev', 'Sharipova']
export const COMPANIES = ['Silk Road Academy', 'Registan Clinic', 'Chorsu Market', 'Samarqand Auto', 'Anhor Dental', 'Navoiy Logistics', 'Buxoro Textile', 'Tashkent Language School']
export const WORDS = ['new', 'request', 'consultation', 'spring', 'course', 'repeat', 'order', 'premium', 'trial', 'lesson', 'delivery', 'contract', 'renewal', 'quote', 'urgent', 'callback']
export const LEAD_STATUS = ['new', 'in_progress', 'qualified', 'won', 'lost', 'waiting']
export const SOURCES = ['instagram', 'telegram', 'website', 'referral', 'phone', 'meta_ads', 'google']
export const DIRECTIONS = ['inbound', 'outbound']
export const CALL_STATUS = ['answered', 'answered', 'answered', 'missed', 'busy', 'failed']
export const CALL_PROVIDERS = ['utel', 'utel', 'utel', 'onlinepbx']
export const ACTIONS = ['lead.update', 'lead.create', 'call.view', 'contact.update', 'user.login', 'integration.sync', 'report.export', 'income.create']
export const RESOURCES = ['lead', 'lead', 'call', 'contact', 'user', 'integration', 'report', 'income']
export const AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15',
  'Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36',
]
export const WEBHOOK_PROVIDERS = ['amocrm', 'amocrm', 'utel', 'telegram', 'meta_ads']
export const EVENT_TYPES = ['leads.update', 'leads.add', 'call.finished', 'message.new', 'leadgen']
export const METHODS = ['cash', 'card', 'click', 'payme', 'transfer']
export const COLORS = ['#1d4ed8', '#16a34a', '#dc2626', '#ca8a04']
export const ROLES = ['{owner,admin}', '{manager}', '{operator}', '{operator,manager}', '{viewer}']

const START = Date.UTC(2025, 0, 1)
const DAY = 86_400_000
const DAYS = 670
/** Sample time runs from here for `SPAN` milliseconds; it does not depend on the day of loading. */
export const SPAN = DAYS * DAY

const dates = Array.from({length: DAYS * 3}, (_, day) => new Date(START + day * DAY).toISOString().slice(0, 10))
const two = (number: number): string => String(number).padStart(2, '0')
const clock = Array.from({length: 86_400}, (_, second) => `${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}`)
const fractions = Array.from({length: 1000}, (_, milli) => String(milli).padStart(3, '0'))

/** A timestamp(3) so many milliseconds after the start of sample time. */
export function stamp(at: number): string {
  const day = Math.floor(at / DAY)
  const inDay = Math.floor(at - day * DAY)
  return `${dates[day] ?? ''} ${clock[Math.floor(inDay / 1000)] ?? ''}.${fractions[inDay % 1000] ?? ''}`
}

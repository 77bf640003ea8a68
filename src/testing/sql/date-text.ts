import { dateOf, type Moment, type SqlType } from '../tds/data-type.js';

/** The styles of CONVERT that the emulator knows; a statement with another one goes to `onQuery`. */
export const STYLES: ReadonlySet<number> = new Set([0, 1, 2, 8, 23, 101, 103, 104, 108, 112, 120, 121, 126]);

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * A date or time as text, in a style of CONVERT. Default: what CAST writes, which is style 0 for the old types (`Feb 29 2024
 *  1:14PM`), and ISO 8601 for those of SQL Server 2008.
 */
export function dateText(moment: Moment, type: SqlType, style = isOld(type) ? 0 : 121): string {
  const offset = type.name === 'datetimeoffset' ? (moment.offset ?? 0) : 0;
  const iso = new Date(dateOf(moment).getTime() + offset * 60_000).toISOString();
  const [year, month, day] = iso.slice(0, 10).split('-') as [string, string, string];
  const seconds = iso.slice(11, 19);
  const fraction = fractionOf(moment, type);
  const zone = type.name === 'datetimeoffset' ? zoneText(offset) : '';
  const [date, time] = ((): [string, string] => {
    switch (style) {
      case 0:
        return [`${MONTHS[Number(month) - 1]} ${String(Number(day)).padStart(2)} ${year}`, twelveHours(seconds)];
      case 8:
      case 108:
        return ['', seconds];
      case 23:
        return [`${year}-${month}-${day}`, ''];
      case 1:
        return [`${month}/${day}/${year.slice(2)}`, ''];
      case 2:
        return [`${year.slice(2)}.${month}.${day}`, ''];
      case 101:
        return [`${month}/${day}/${year}`, ''];
      case 103:
        return [`${day}/${month}/${year}`, ''];
      case 104:
        return [`${day}.${month}.${year}`, ''];
      case 112:
        return [`${year}${month}${day}`, ''];
      case 120:
        return [`${year}-${month}-${day}`, seconds + (zone === '' ? '' : ` ${zone}`)];
      case 126:
        // Without a fraction, the old types write none.
        return [`${year}-${month}-${day}`, seconds + (isOld(type) && /^\.0*$/.test(fraction) ? '' : fraction) + zone];
      default:
        return [`${year}-${month}-${day}`, seconds + fraction + (zone === '' ? '' : ` ${zone}`)];
    }
  })();
  if (type.name === 'date') return date;
  if (type.name === 'time') return time;
  return [date, time].filter((part) => part !== '').join(style === 126 ? 'T' : ' ');
}

function isOld({ name }: SqlType): boolean {
  return name === 'datetime' || name === 'smalldatetime';
}

function fractionOf({ ticks }: Moment, type: SqlType): string {
  const scale = type.scale ?? (type.name === 'datetime' ? 3 : 0);
  const digits = String(ticks % 10_000_000).padStart(7, '0');
  return scale > 0 ? `.${digits.slice(0, scale)}` : '';
}

/** ` 1:14PM`, of `13:14:15`. */
function twelveHours(time: string): string {
  const hour = Number(time.slice(0, 2));
  return `${String(hour % 12 === 0 ? 12 : hour % 12).padStart(2)}:${time.slice(3, 5)}${hour < 12 ? 'AM' : 'PM'}`;
}

function zoneText(offset: number): string {
  const size = Math.abs(offset);
  const zone = `${String(Math.floor(size / 60)).padStart(2, '0')}:${String(size % 60).padStart(2, '0')}`;
  return `${offset < 0 ? '-' : '+'}${zone}`;
}

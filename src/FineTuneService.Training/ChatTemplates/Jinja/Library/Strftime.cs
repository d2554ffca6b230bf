using System.Globalization;
using System.Text;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>C's strftime in the C locale, with glibc's <c>%-d</c>.</summary>
internal static class Strftime
{
    public static string Format(string format, DateTimeOffset now, Rendering run)
    {
        var text = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            run.ChargeItems(1);
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }
            var isBare = format[i + 1] == '-' && i + 2 < format.Length;
            i += isBare ? 2 : 1;
            var part = Directive(format[i], now) ?? $"%{(isBare ? "-" : "")}{format[i]}";
            text.Append(isBare && part.TrimStart('0', ' ') is var bare ? bare.Length == 0 ? "0" : bare : part);
        }
        return text.ToString();
    }

    private static string? Directive(char directive, DateTimeOffset now)
    {
        var days = now.DayOfYear - 1;
        return directive switch
        {
            'Y' => Number("0000", now.Year),
            'C' => Number("00", now.Year / 100),
            'y' => Number("00", now.Year % 100),
            'm' => Number("00", now.Month),
            'd' => Number("00", now.Day),
            'e' => Number("0", now.Day).PadLeft(2),
            'H' => Number("00", now.Hour),
            'I' => Number("00", Twelve(now.Hour)),
            'M' => Number("00", now.Minute),
            'S' => Number("00", now.Second),
            'f' => Number("000000", (int)(now.Ticks % TimeSpan.TicksPerSecond / TimeSpan.TicksPerMicrosecond)),
            'j' => Number("000", now.DayOfYear),
            'p' => now.Hour < 12 ? "AM" : "PM",
            'B' => now.ToString("MMMM", CultureInfo.InvariantCulture),
            'b' or 'h' => now.ToString("MMM", CultureInfo.InvariantCulture),
            'A' => now.ToString("dddd", CultureInfo.InvariantCulture),
            'a' => now.ToString("ddd", CultureInfo.InvariantCulture),
            'w' => Number("0", (int)now.DayOfWeek),
            'u' => Number("0", now.DayOfWeek == DayOfWeek.Sunday ? 7 : (int)now.DayOfWeek),
            'U' => Number("00", (days + 7 - (int)now.DayOfWeek) / 7),
            'W' => Number("00", (days + 7 - ((int)now.DayOfWeek + 6) % 7) / 7),
            'V' => Number("00", ISOWeek.GetWeekOfYear(now.DateTime)),
            'G' => Number("0000", ISOWeek.GetYear(now.DateTime)),
            'F' => now.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            'T' or 'X' => now.ToString("HH:mm:ss", CultureInfo.InvariantCulture),
            'R' => now.ToString("HH:mm", CultureInfo.InvariantCulture),
            'D' or 'x' => now.ToString("MM'/'dd'/'yy", CultureInfo.InvariantCulture),
            'c' => $"{now.ToString("ddd MMM", CultureInfo.InvariantCulture)} {now.Day,2} {now.ToString("HH:mm:ss yyyy", CultureInfo.InvariantCulture)}",
            's' => now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            // datetime.now() knows no zone.
            'z' or 'Z' => "",
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            _ => null,
        };
    }

    private static int Twelve(int hour) => hour % 12 == 0 ? 12 : hour % 12;

    private static string Number(string format, int value) => value.ToString(format, CultureInfo.InvariantCulture);
}

using System.Globalization;
using System.Text;

namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

/// <summary>Python's string literals, as Jinja2 reads them (<c>unicode-escape</c>).</summary>
internal static class StringLiteral
{
    /// <param name="source">The template.</param>
    /// <param name="start">At the quote.</param>
    public static (int End, string Value) Read(string source, int start)
    {
        var quote = source[start];
        var end = start + 1;
        while (end < source.Length && source[end] != quote)
            end += source[end] == '\\' ? 2 : 1;
        if (end >= source.Length)
            throw TemplateError.Syntax("The string is not closed", start);
        var body = source.AsSpan(start + 1, end - start - 1);
        return (end + 1, body.Contains('\\') ? Unescape(body, start + 1) : body.ToString());
    }

    private static string Unescape(ReadOnlySpan<char> body, int offset)
    {
        var text = new StringBuilder(body.Length);
        for (var i = 0; i < body.Length; i++)
        {
            if (body[i] != '\\')
            {
                text.Append(body[i]);
                continue;
            }
            var escape = body[++i];
            if (escape is 'x' or 'u' or 'U')
            {
                var digits = escape switch { 'x' => 2, 'u' => 4, _ => 8 };
                if (i + digits >= body.Length || !int.TryParse(body.Slice(i + 1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var scalar) || scalar is < 0 or > 0x10FFFF)
                    throw TemplateError.Syntax($"The escape \\{escape} needs {digits} hexadecimal digits of a character", offset + i - 1);
                text.Append(scalar > char.MaxValue ? char.ConvertFromUtf32(scalar) : ((char)scalar).ToString());
                i += digits;
            }
            else if (escape is >= '0' and <= '7')
            {
                var value = 0;
                var last = Math.Min(i + 3, body.Length);
                for (; i < last && body[i] is >= '0' and <= '7'; i++)
                    value = value * 8 + body[i] - '0';
                i--;
                text.Append((char)value);
            }
            else if (escape == 'N')
            {
                throw TemplateError.Syntax("Characters cannot be named (\\N{…}) here", offset + i - 1);
            }
            else if (escape != '\n')
            {
                text.Append(escape switch
                {
                    'n' => "\n",
                    't' => "\t",
                    'r' => "\r",
                    'a' => "\a",
                    'b' => "\b",
                    'f' => "\f",
                    'v' => "\v",
                    '\\' or '\'' or '"' => escape.ToString(),
                    _ => "\\" + escape,
                });
            }
        }
        return text.ToString();
    }
}

/// <summary>Python's number literals: 1_000, 0x1f, 1.5e-3.</summary>
internal static class NumberLiteral
{
    /// <returns>Digits without underscores; an integer in decimal.</returns>
    public static (int End, string Text, TokenKind Kind) Read(string source, int start)
    {
        if (source[start] == '0' && start + 1 < source.Length && char.ToLowerInvariant(source[start + 1]) is 'x' or 'o' or 'b')
            return Prefixed(source, start);
        var end = Digits(source, start);
        var kind = TokenKind.Integer;
        // messages.0.content: a number after a dot is no fraction's beginning.
        var afterDot = start > 0 && source[start - 1] == '.';
        if (!afterDot && At(source, end) == '.' && char.IsAsciiDigit(At(source, end + 1)))
            (end, kind) = (Digits(source, end + 1), TokenKind.Float);
        if (!afterDot && At(source, end) is 'e' or 'E')
        {
            var exponent = At(source, end + 1) is '+' or '-' ? end + 2 : end + 1;
            if (char.IsAsciiDigit(At(source, exponent)))
                (end, kind) = (Digits(source, exponent), TokenKind.Float);
        }
        return (end, source[start..end].Replace("_", "", StringComparison.Ordinal), kind);
    }

    private static (int End, string Text, TokenKind Kind) Prefixed(string source, int start)
    {
        var radix = char.ToLowerInvariant(source[start + 1]) switch { 'x' => 16, 'o' => 8, _ => 2 };
        var end = start + 2;
        while (char.IsAsciiHexDigit(At(source, end)) || At(source, end) == '_')
            end++;
        try
        {
            var value = Convert.ToInt64(source[(start + 2)..end].Replace("_", "", StringComparison.Ordinal), radix);
            return (end, value.ToString(CultureInfo.InvariantCulture), TokenKind.Integer);
        }
        catch (Exception error) when (error is FormatException or ArgumentException or OverflowException)
        {
            throw TemplateError.Syntax($"'{source[start..end]}' is no number", start);
        }
    }

    private static int Digits(string source, int at)
    {
        while (char.IsAsciiDigit(At(source, at)) || At(source, at) == '_' && char.IsAsciiDigit(At(source, at + 1)))
            at++;
        return at;
    }

    private static char At(string source, int at) => at < source.Length ? source[at] : '\0';
}

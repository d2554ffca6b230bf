using System.Buffers;
using System.Globalization;
using System.Net;
using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;

namespace FineTuneService.Training.DataQuality;

/// <summary>Kinds of personal data and secrets, as bits.</summary>
[Flags]
internal enum PersonalKinds : ushort { None, Email = 1, Phone = 2, CreditCard = 4, Iban = 8, SocialSecurityNumber = 16, IpAddress = 32, Secret = 64 }

/// <summary>Finds personal data that have a shape of their own, and check digits where there are any; masks them.</summary>
internal static partial class PersonalData
{
    private static readonly SearchValues<char> Digits = SearchValues.Create("0123456789");

    /// <summary>The beginnings of keys and tokens that say whose they are.</summary>
    private static readonly SearchValues<string> SecretBeginnings = SearchValues.Create(
        ["AKIA", "ASIA", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xoxa-", "sk-", "sk_live_", "rk_live_", "hf_", "AIza", "eyJ", "-----BEGIN", "npm_"], StringComparison.Ordinal);

    public static PersonalKinds KindsOf(string text)
    {
        var kinds = PersonalKinds.None;
        foreach (var (kind, _, _) in Find(text))
            kinds |= kind;
        return kinds;
    }

    /// <summary>The text with each find replaced by its kind.</summary>
    public static string Mask(string text, out int found)
    {
        found = 0;
        var finds = Find(text);
        if (finds.Count == 0)
            return text;
        var masked = new StringBuilder(text.Length);
        var at = 0;
        foreach (var (kind, start, length) in finds)
        {
            masked.Append(text, at, start - at).Append('[').Append(Name(kind)).Append(']');
            at = start + length;
            found++;
        }
        return masked.Append(text, at, text.Length - at).ToString();
    }

    public static string Mask(string text) => Mask(text, out _);

    /// <summary>One kind as people read it.</summary>
    public static string Name(PersonalKinds kind) => kind switch
    {
        PersonalKinds.Email => "email",
        PersonalKinds.Phone => "phone",
        PersonalKinds.CreditCard => "credit card",
        PersonalKinds.Iban => "iban",
        PersonalKinds.SocialSecurityNumber => "social security number",
        PersonalKinds.IpAddress => "ip address",
        _ => "secret",
    };

    public static string Names(PersonalKinds kinds) => string.Join(", ", Enum.GetValues<PersonalKinds>().Where(kind => kind != 0 && kinds.HasFlag(kind)).Select(Name));

    /// <summary>In their order, none within another.</summary>
    private static List<(PersonalKinds Kind, int Start, int Length)> Find(string text)
    {
        List<(PersonalKinds Kind, int Start, int Length)> finds = [];
        if (text.Contains('@', StringComparison.Ordinal))
            Add(Email(), PersonalKinds.Email, _ => true);
        if (text.AsSpan().ContainsAny(SecretBeginnings))
            Add(Secret(), PersonalKinds.Secret, _ => true);
        var first = text.AsSpan().IndexOfAny(Digits);
        if (first >= 0 && Count(text.AsSpan(first)) >= 4)
        {
            Add(Iban(), PersonalKinds.Iban, IsIban);
            Add(CreditCard(), PersonalKinds.CreditCard, IsCreditCard);
            Add(SocialSecurityNumber(), PersonalKinds.SocialSecurityNumber, _ => true);
            Add(IpAddress(), PersonalKinds.IpAddress, IsIpAddress);
            Add(Phone(), PersonalKinds.Phone, IsPhone);
        }
        else if (first >= 0 || text.Contains("::", StringComparison.Ordinal))
            Add(IpAddress(), PersonalKinds.IpAddress, IsIpAddress);
        finds.Sort((a, b) => a.Start.CompareTo(b.Start));
        return finds;

        void Add(Regex shape, PersonalKinds kind, Func<string, bool> holds)
        {
            foreach (var match in shape.EnumerateMatches(text))
            {
                var (start, end) = (match.Index, match.Index + match.Length);
                if (!finds.Exists(find => find.Start < end && start < find.Start + find.Length) && holds(text[start..end]))
                    finds.Add((kind, start, end - start));
            }
        }
    }

    private static int Count(ReadOnlySpan<char> text)
    {
        var digits = 0;
        foreach (var next in text)
            digits += char.IsAsciiDigit(next) ? 1 : 0;
        return digits;
    }

    /// <summary>Luhn's sum (ISO/IEC 7812-1), and a first digit that is somebody's.</summary>
    private static bool IsCreditCard(string found)
    {
        var digits = found.Where(char.IsAsciiDigit).Select(digit => digit - '0').ToArray();
        if (digits.Length is < 13 or > 19 || digits[0] is < 2 or > 6 || digits.Distinct().Count() < 2)
            return false;
        var sum = 0;
        for (var at = 0; at < digits.Length; at++)
        {
            var digit = digits[^(at + 1)];
            sum += at % 2 == 0 ? digit : digit < 5 ? 2 * digit : 2 * digit - 9;
        }
        return sum % 10 == 0;
    }

    /// <summary>ISO 13616: the number modulo 97 is 1, its first four characters put last and letters counted from 10.</summary>
    private static bool IsIban(string found)
    {
        var plain = found.Replace(" ", "", StringComparison.Ordinal);
        if (plain.Length is < 15 or > 34)
            return false;
        var number = BigInteger.Zero;
        foreach (var next in plain[4..] + plain[..4])
            number = char.IsAsciiDigit(next) ? number * 10 + (next - '0') : number * 100 + (char.ToUpperInvariant(next) - 'A' + 10);
        return number % 97 == 1;
    }

    /// <summary>Not those that mean no host, or any.</summary>
    private static bool IsIpAddress(string found) =>
        IPAddress.TryParse(found, out var address) && (found.Contains(':', StringComparison.Ordinal)
            ? found.Count(next => next == ':') >= 2 && found.Count(char.IsAsciiHexDigit) >= 4
            : !IPAddress.IsLoopback(address) && found is not ("0.0.0.0" or "255.255.255.255"));

    /// <summary>Numbers as they are dialled: 8 to 15 digits (ITU-T E.164), and a plus, a zero, brackets or three groups; no date, and no number with decimals.</summary>
    private static bool IsPhone(string found)
    {
        var digits = Count(found);
        if (digits is < 8 or > 15 || DateTime.TryParse(found, CultureInfo.InvariantCulture, out _))
            return false;
        if (found[0] == '+')
            return true;
        int[] groups = [.. found.Split([' ', '-', '.', '/', '(', ')'], StringSplitOptions.RemoveEmptyEntries).Select(group => group.Length)];
        var isOther = groups is [3, 2, 4] || (groups.Length == 4 && found.Count(next => next == '.') == 3); // Of the shape of a social security number, or of an address.
        return digits >= 9 && !isOther && (found.Contains('(', StringComparison.Ordinal) || (groups.Length is >= 3 and <= 6) || (groups.Length == 2 && found[0] == '0'));
    }

    [GeneratedRegex(@"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.)+[A-Za-z]{2,24}", RegexOptions.CultureInvariant)]
    private static partial Regex Email();

    [GeneratedRegex(@"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pos]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_\-]{20,}|\bxox[abp]-[A-Za-z0-9\-]{10,}|\bsk-[A-Za-z0-9_\-]{20,}|\b[sr]k_live_[A-Za-z0-9]{16,}|\bhf_[A-Za-z0-9]{30,}|\bAIza[A-Za-z0-9_\-]{35}|\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}|\bnpm_[A-Za-z0-9]{36}|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----", RegexOptions.CultureInvariant)]
    private static partial Regex Secret();

    [GeneratedRegex(@"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", RegexOptions.CultureInvariant)]
    private static partial Regex Iban();

    [GeneratedRegex(@"(?<![\d.,\-])\d(?:[ \-]?\d){12,18}(?![\d])", RegexOptions.CultureInvariant)]
    private static partial Regex CreditCard();

    /// <summary>Those that are given out (SSA: no 000, 666 or 9xx, no 00, no 0000), written with hyphens.</summary>
    [GeneratedRegex(@"(?<![\d\-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d\-])", RegexOptions.CultureInvariant)]
    private static partial Regex SocialSecurityNumber();

    [GeneratedRegex(@"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])|(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![0-9A-Fa-f:])", RegexOptions.CultureInvariant)]
    private static partial Regex IpAddress();

    [GeneratedRegex(@"(?<![\w.,+\-/])\+?\(?\d[\d ().\-/]{6,22}\d(?![\w])", RegexOptions.CultureInvariant)]
    private static partial Regex Phone();
}

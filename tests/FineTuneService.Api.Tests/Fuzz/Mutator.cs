using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace FineTuneService.Api.Tests.Fuzz;

/// <summary>Spoils sound inputs, in the same way for the same seed: JSON by its structure, anything else byte by byte.</summary>
internal sealed class Mutator(int seed)
{
    /// <summary>Values at which readers have stumbled before, ours or others'.</summary>
    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "-0.0", "-1", "0.1", "1e999", "-1e999", "1e-999", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551616", new('9', 5000),
        "\"\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\uffff\\ufffe\"", "\"\U0001D54F\"", "\"e\\u0301\"", "\"\u0130\"", "\"../../etc/passwd\"", "\"NaN\"", "\"auto\"", "\"a\\nb\"", $"\"{new string('a', 70_000)}\"",
        "\"2026-02-30T25:61:00Z\"", "\"job:x@best\"", "\"(a+)+$\"", "[]", "{}", "[null]", "[[]]", "{\"\":{}}", "{\"type\":\"type\"}", $"{new string('[', 100)}{new string(']', 100)}", new('[', 20_000),
    ];

    private static readonly byte[][] Bytes =
    [
        [0], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xEF, 0xBB, 0xBF], [0xF0, 0x9F, 0x98, 0x80], "\r\n"u8.ToArray(), "\n"u8.ToArray(), "\r"u8.ToArray(), "\t"u8.ToArray(), "\""u8.ToArray(), "\"\""u8.ToArray(), ","u8.ToArray(), ";"u8.ToArray(),
    ];

    private readonly Random _random = new(seed);

    public int Next(int below) => _random.Next(below);

    public T OneOf<T>(IReadOnlyList<T> choices) => choices[_random.Next(choices.Count)];

    /// <summary>Up to eight changes of bytes.</summary>
    /// <param name="words">What has a meaning in this kind of text, to be put anywhere.</param>
    public byte[] SpoilBytes(byte[] input, IReadOnlyList<string> words)
    {
        for (var changes = 1 + _random.Next(8); changes > 0; changes--)
            input = ChangeBytes(input, words);
        return input;
    }

    /// <summary>Up to four changes of values, names or structure; sometimes of bytes, and then it may be JSON no more.</summary>
    public byte[] SpoilJson(byte[] input, IReadOnlyList<string> words)
    {
        for (var changes = 1 + _random.Next(4); changes > 0; changes--)
            input = _random.Next(10) == 0 ? ChangeBytes(input, words) : ChangeJson(input, words);
        return input;
    }

    /// <summary>One line of JSON among others, or bytes anywhere.</summary>
    public byte[] SpoilLines(byte[] input, IReadOnlyList<string> words)
    {
        if (_random.Next(4) == 0)
            return SpoilBytes(input, words);
        var lines = Encoding.UTF8.GetString(input).Split('\n');
        var at = _random.Next(lines.Length);
        var spoilt = SpoilJson(Encoding.UTF8.GetBytes(lines[at]), words);
        return [.. Encoding.UTF8.GetBytes(string.Concat(lines[..at].Select(line => line + '\n'))), .. spoilt, .. Encoding.UTF8.GetBytes(string.Concat(lines[(at + 1)..].Select(line => '\n' + line)))];
    }

    private byte[] ChangeBytes(byte[] input, IReadOnlyList<string> words)
    {
        var at = _random.Next(input.Length + 1);
        var length = Math.Min(_random.Next(1 + _random.Next(64)), input.Length - at);
        switch (_random.Next(9))
        {
            case 0 when at < input.Length:
                input = [.. input];
                input[at] ^= (byte)(1 << _random.Next(8));
                return input;
            case 1:
                return Splice(input, at, 0, OneOf(Bytes));
            case 2:
                return Splice(input, at, length, []);
            case 3:
                return input[..at];
            case 4:
                return Splice(input, at, length, Encoding.UTF8.GetBytes(OneOf(Values)));
            case 5: // The same again and again.
                return Splice(input, at, 0, [.. Enumerable.Repeat(input[at..(at + length)], 1 + _random.Next(200)).SelectMany(part => part)]);
            case 6 when at + 8 <= input.Length: // A size, perhaps.
                input = [.. input];
                BinaryPrimitives.WriteInt64LittleEndian(input.AsSpan(at), OneOf<long>([0, -1, 1L << _random.Next(63), long.MaxValue, int.MaxValue]));
                return input;
            case 7 when words.Count > 0:
                return Splice(input, at, _random.Next(2) * length, Encoding.UTF8.GetBytes(OneOf(words)));
            default:
                var garbage = new byte[_random.Next(32)];
                _random.NextBytes(garbage);
                return Splice(input, at, length, garbage);
        }
    }

    private byte[] ChangeJson(byte[] json, IReadOnlyList<string> words)
    {
        var (values, names) = PartsOf(json);
        if (values.Count == 0)
            return ChangeBytes(json, words);
        var value = OneOf(values);
        var length = value.End - value.Start;
        switch (_random.Next(8))
        {
            case 0: // Another's value.
                var other = OneOf(values);
                return Splice(json, value.Start, length, json[other.Start..other.End]);
            case 1:
                var depth = 1 + _random.Next(_random.Next(2) == 0 ? 3 : 200);
                return Splice(json, value.Start, length, [.. Enumerable.Repeat((byte)'[', depth), .. json[value.Start..value.End], .. Enumerable.Repeat((byte)']', depth)]);
            case 2 when names.Count > 0: // A name twice.
                var twice = OneOf(names);
                return Splice(json, twice.Start, 0, [.. json[twice.Start..twice.End], .. Encoding.UTF8.GetBytes($":{OneOf(Values)},")]);
            case 3 when names.Count > 0:
                var renamed = OneOf(names);
                var name = OneOf(words.Count > 0 && _random.Next(2) == 0 ? words : Values);
                return Splice(json, renamed.Start, renamed.End - renamed.Start, Encoding.UTF8.GetBytes(name is ['"', ..] ? name : JsonSerializer.Serialize(name)));
            case 4 when json[value.Start] is >= (byte)'0' and <= (byte)'9' or (byte)'-':
                return Splice(json, value.Start, length, Encoding.UTF8.GetBytes(OneOf<double>([-1, 0.5, 1, 1e3, 1e9, 1e18]).ToString(CultureInfo.InvariantCulture)));
            case 5 when words.Count > 0:
                return Splice(json, value.Start, length, JsonSerializer.SerializeToUtf8Bytes(OneOf(words)));
            default:
                return Splice(json, value.Start, length, Encoding.UTF8.GetBytes(OneOf(Values)));
        }
    }

    /// <summary>Where values and names lie, as far as it is JSON.</summary>
    private static (List<(int Start, int End)> Values, List<(int Start, int End)> Names) PartsOf(byte[] json)
    {
        var (values, names, open) = (new List<(int, int)>(), new List<(int, int)>(), new Stack<int>());
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 1000 });
            while (reader.Read())
            {
                var (start, end) = ((int)reader.TokenStartIndex, (int)reader.BytesConsumed);
                switch (reader.TokenType)
                {
                    case JsonTokenType.StartObject or JsonTokenType.StartArray:
                        open.Push(start);
                        break;
                    case JsonTokenType.EndObject or JsonTokenType.EndArray:
                        values.Add((open.Pop(), end));
                        break;
                    case JsonTokenType.PropertyName:
                        names.Add((start, json.AsSpan(start, end - start).LastIndexOf((byte)'"') + start + 1)); // The colon is consumed, too.
                        break;
                    default:
                        values.Add((start, end));
                        break;
                }
            }
        }
        catch (JsonException)
        {
        }
        return (values, names);
    }

    private static byte[] Splice(byte[] input, int at, int removed, byte[] added) => [.. input.AsSpan(0, at), .. added, .. input.AsSpan(at + removed)];
}

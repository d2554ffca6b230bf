using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

/// <summary>
/// Cuts a template into tokens as Jinja2's lexer does with <c>trim_blocks</c> and <c>lstrip_blocks</c> on, which is how transformers sets it up:
/// a newline after a block or comment goes, and so does the indentation before one; <c>-</c> strips more, <c>+</c> less.
/// </summary>
internal sealed class Lexer
{
    // Longest first.
    private static readonly string[] Operators =
        ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"];

    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private int _at;
    // Whether what was consumed last ended a line, so that indentation which follows stands at a line's start.
    private bool _lineStarts = true;

    private Lexer(string source) => _source = source;

    /// <summary>Line ends become \n and the last of them is dropped; offsets count in what this returns.</summary>
    public static string Normalize(string source)
    {
        var unified = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        return unified.EndsWith('\n') ? unified[..^1] : unified;
    }

    /// <param name="source">Normalised.</param>
    public static List<Token> Tokenize(string source)
    {
        var lexer = new Lexer(source);
        while (lexer._at < source.Length)
            lexer.ReadData();
        lexer.Add(TokenKind.End, "", source.Length);
        return lexer._tokens;
    }

    /// <summary>Text up to the next tag, and that tag.</summary>
    private void ReadData()
    {
        var start = _at;
        var tag = NextTag(start);
        if (tag < 0)
        {
            Add(TokenKind.Data, _source[start..], start);
            _at = _source.Length;
            return;
        }
        var kind = _source[tag + 1];
        var body = tag + 2;
        var sign = body < _source.Length && _source[body] is '-' or '+' ? _source[body++] : '\0';
        Add(TokenKind.Data, Before(start, tag, sign, isVariable: kind == '{'), start);
        _at = body;
        _lineStarts = false;
        if (kind == '#')
            SkipComment(tag);
        else if (kind == '%' && TryRaw(tag))
            return;
        else
            ReadTag(tag, kind == '{' ? TokenKind.VariableBegin : TokenKind.BlockBegin);
    }

    private int NextTag(int from)
    {
        for (var i = _source.IndexOf('{', from); i >= 0 && i + 1 < _source.Length; i = _source.IndexOf('{', i + 1))
        {
            if (_source[i + 1] is '{' or '%' or '#')
                return i;
        }
        return -1;
    }

    private string Before(int start, int end, char sign, bool isVariable)
    {
        var text = _source.AsSpan(start, end - start);
        if (sign == '-')
            return PythonText.TrimEnd(text).ToString();
        if (sign == '+' || isVariable)
            return text.ToString();
        var line = text.LastIndexOf('\n') + 1;
        return (line > 0 || _lineStarts) && PythonText.TrimEnd(text[line..]).IsEmpty ? text[..line].ToString() : text.ToString();
    }

    private void SkipComment(int tag)
    {
        var end = _source.IndexOf("#}", _at, StringComparison.Ordinal);
        if (end < 0)
            throw TemplateError.Syntax("Missing end of comment tag", tag);
        var sign = end > _at ? _source[end - 1] : '\0';
        _at = end + 2;
        EndTag(sign);
    }

    /// <summary>After a block or comment.</summary>
    private void EndTag(char sign)
    {
        var end = _at;
        if (sign == '-')
            SkipWhiteSpace();
        else if (sign != '+' && _at < _source.Length && _source[_at] == '\n')
            _at++;
        _lineStarts = _at > end && _source[_at - 1] == '\n';
    }

    /// <summary><c>{% raw %}…{% endraw %}</c>: everything between is text.</summary>
    private bool TryRaw(int tag)
    {
        var begin = Keyword("raw", _at);
        if (begin is null)
            return false;
        _at = begin.Value.Sign == '-' ? AfterWhiteSpace(begin.Value.End) : begin.Value.End;
        _lineStarts = _source[_at - 1] == '\n';
        var start = _at;
        for (var i = _source.IndexOf("{%", start, StringComparison.Ordinal); i >= 0; i = _source.IndexOf("{%", i + 2, StringComparison.Ordinal))
        {
            var body = i + 2;
            var sign = body < _source.Length && _source[body] is '-' or '+' ? _source[body++] : '\0';
            if (Keyword("endraw", body) is not { } end)
                continue;
            Add(TokenKind.Data, Before(start, i, sign, isVariable: false), start);
            _at = end.End;
            EndTag(end.Sign);
            return true;
        }
        throw TemplateError.Syntax("Missing end of raw directive", tag);
    }

    /// <summary>Whether a block holds just this word; tells where the block ends and the sign before its end.</summary>
    private (int End, char Sign)? Keyword(string word, int at)
    {
        at = AfterWhiteSpace(at);
        if (string.CompareOrdinal(_source, at, word, 0, word.Length) != 0)
            return null;
        at = AfterWhiteSpace(at + word.Length);
        var sign = at < _source.Length && _source[at] is '-' or '+' ? _source[at++] : '\0';
        return string.CompareOrdinal(_source, at, "%}", 0, 2) == 0 ? (at + 2, sign) : null;
    }

    private void ReadTag(int tag, TokenKind begin)
    {
        Add(begin, "", tag);
        var isBlock = begin == TokenKind.BlockBegin;
        var closing = isBlock ? '%' : '}';
        var brackets = new Stack<char>();
        while (true)
        {
            SkipWhiteSpace();
            if (_at >= _source.Length)
                throw TemplateError.Syntax($"The tag is not closed: '{(isBlock ? "%}" : "}}")}' is missing", tag);
            if (brackets.Count == 0 && EndsHere(closing, isBlock) is { } sign)
            {
                Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, "", _at);
                _at += sign == '\0' ? 2 : 3;
                if (isBlock)
                    EndTag(sign);
                else if (sign == '-')
                    EndTag('-');
                else
                    _lineStarts = false;
                return;
            }
            ReadToken(brackets);
        }
    }

    private char? EndsHere(char closing, bool isBlock)
    {
        var sign = _source[_at] == '-' || isBlock && _source[_at] == '+' ? _source[_at] : '\0';
        var at = sign == '\0' ? _at : _at + 1;
        return at + 1 < _source.Length && _source[at] == closing && _source[at + 1] == '}' ? sign : null;
    }

    private void ReadToken(Stack<char> brackets)
    {
        var start = _at;
        var first = _source[start];
        if (char.IsAsciiDigit(first))
        {
            (_at, var number, var kind) = NumberLiteral.Read(_source, start);
            Add(kind, number, start);
        }
        else if (first is '"' or '\'')
        {
            (_at, var value) = StringLiteral.Read(_source, start);
            Add(TokenKind.String, value, start);
        }
        else if (IsWord(first))
        {
            while (_at < _source.Length && IsWord(_source[_at]))
                _at++;
            Add(TokenKind.Name, _source[start.._at], start);
        }
        else if (Operators.FirstOrDefault(spelling => string.CompareOrdinal(_source, start, spelling, 0, spelling.Length) == 0) is { } found)
        {
            _at += found.Length;
            Balance(found[0], brackets);
            Add(TokenKind.Operator, found, start);
        }
        else
        {
            throw TemplateError.Syntax($"unexpected char '{first}'", start);
        }
    }

    private void Balance(char bracket, Stack<char> open)
    {
        if (bracket is '(' or '[' or '{')
            open.Push(bracket == '(' ? ')' : bracket == '[' ? ']' : '}');
        else if (bracket is ')' or ']' or '}' && (!open.TryPop(out var expected) || expected != bracket))
            throw TemplateError.Syntax($"unexpected '{bracket}'", _at - 1);
    }

    private static bool IsWord(char c) => char.IsLetterOrDigit(c) || c == '_';

    private void SkipWhiteSpace() => _at = AfterWhiteSpace(_at);

    private int AfterWhiteSpace(int at)
    {
        while (at < _source.Length && PythonText.IsSpace(_source[at]))
            at++;
        return at;
    }

    private void Add(TokenKind kind, string text, int offset)
    {
        if (kind != TokenKind.Data || text.Length > 0)
            _tokens.Add(new(kind, text, offset));
    }
}

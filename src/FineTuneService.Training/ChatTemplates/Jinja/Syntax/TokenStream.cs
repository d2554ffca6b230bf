using System.Runtime.CompilerServices;

namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

/// <summary>The tokens of a template, with a place in them.</summary>
internal sealed class TokenStream(List<Token> tokens)
{
    private int _at;

    public Token Current => tokens[_at];

    public Token Following => tokens[Math.Min(_at + 1, tokens.Count - 1)];

    public Token Take() => tokens[_at] is var token && token.Kind != TokenKind.End ? tokens[_at++] : token;

    public bool SkipName(string name) => Skip(Current.IsName(name));

    public bool SkipOperator(string spelling) => Skip(Current.IsOperator(spelling));

    public Token Expect(TokenKind kind) => Current.Kind == kind ? Take() : throw Unexpected(kind switch
    {
        TokenKind.Name => "a name",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.VariableEnd => "end of print statement",
        _ => kind.ToString(),
    });

    public void ExpectOperator(string spelling)
    {
        if (!SkipOperator(spelling))
            throw Unexpected($"'{spelling}'");
    }

    public void ExpectName(string name)
    {
        if (!SkipName(name))
            throw Unexpected($"'{name}'");
    }

    public TemplateError Unexpected(string expected) => TemplateError.Syntax($"expected {expected}, got '{Current}'", Current.Offset);

    /// <summary>Called where the grammar recurses: a template nested without end is refused instead of overflowing the stack.</summary>
    public void Descend()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw TemplateError.Syntax("The template is nested too deep", Current.Offset);
    }

    private bool Skip(bool matches)
    {
        if (matches)
            _at++;
        return matches;
    }
}

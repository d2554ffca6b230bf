namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

internal enum TokenKind
{
    Data, BlockBegin, BlockEnd, VariableBegin, VariableEnd, Name, String, Integer, Float, Operator, End,
}

/// <param name="Text">Of a string: its value. Of an operator or name: how it is spelled.</param>
/// <param name="Offset">Into the source with its line ends normalised, UTF-16 units.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int Offset)
{
    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    public bool IsOperator(string spelling) => Kind == TokenKind.Operator && Text == spelling;

    public override string ToString() => Kind switch
    {
        TokenKind.End => "end of template",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.VariableEnd => "end of print statement",
        TokenKind.Data => "template data",
        TokenKind.BlockBegin => "begin of statement block",
        TokenKind.VariableBegin => "begin of print statement",
        TokenKind.String => "string",
        _ => Text,
    };
}

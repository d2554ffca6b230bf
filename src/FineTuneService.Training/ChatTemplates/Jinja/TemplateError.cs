namespace FineTuneService.Training.ChatTemplates.Jinja;

/// <summary>What is wrong with a template, or with what it does; <see cref="ChatTemplate"/> adds the place and makes a fault of it.</summary>
/// <param name="message">Jinja2's words where it has some.</param>
/// <param name="kind">Decides the remedy.</param>
/// <param name="offset">Where in the source, when whoever throws knows; else the place last evaluated counts.</param>
internal sealed class TemplateError(string message, TemplateErrorKind kind = TemplateErrorKind.Runtime, int? offset = null) : Exception(message)
{
    public TemplateErrorKind Kind => kind;

    public int? Offset => offset;

    public static TemplateError Syntax(string message, int offset) => new(message, TemplateErrorKind.Syntax, offset);

    public static TemplateError Limit(string message) => new(message, TemplateErrorKind.Limit);
}

internal enum TemplateErrorKind
{
    /// <summary>The source is no template.</summary>
    Syntax,

    /// <summary>An operation on operands that it cannot have.</summary>
    Runtime,

    /// <summary>The template refused the conversation: <c>raise_exception</c>.</summary>
    Raised,

    /// <summary>More time, memory or depth than a template may use.</summary>
    Limit,
}

namespace FineTuneService.Training.Models;

/// <summary>What a model's logits are.</summary>
public enum ModelHead
{
    /// <summary><c>[batch, labels]</c>: a whole text is judged.</summary>
    SequenceClassification,

    /// <summary><c>[batch, seq, labels]</c>: every token is judged.</summary>
    TokenClassification,

    /// <summary><c>[batch, seq, vocabulary]</c>: the next token, from those before it.</summary>
    CausalLm,

    /// <summary><c>[batch, seq, vocabulary]</c>: the token that stood here, from both sides.</summary>
    MaskedLm,

    /// <summary><c>[batch, seq]</c>: whether a token was put here in place of another.</summary>
    ReplacedTokenDetection,
}
